//! Refusals that are rare, whose programs are attached only once there are some.

/// How many packets were refused for reasons that are rare.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RareRefusals {
    /// Confirmations, without clashes.
    pub(super) confirmations: u64,
    /// Allocations for which no full table was seen.
    pub(super) allocations: u64,
}

impl RareRefusals {
    /// Takes in what there is now; gives whether there are more than ever before. A number can
    /// fall: a run that the kernel skipped can explain a packet later.
    pub(super) fn grow(&mut self, now: Self) -> bool {
        let more = now.confirmations > self.confirmations || now.allocations > self.allocations;
        self.confirmations = self.confirmations.max(now.confirmations);
        self.allocations = self.allocations.max(now.allocations);
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_number_hides_that_the_other_grows() {
        let mut rare = RareRefusals::default();
        let mut grow = |confirmations, allocations| {
            rare.grow(RareRefusals {
                confirmations,
                allocations,
            })
        };
        assert!(!grow(0, 0));
        assert!(grow(0, 3));
        assert!(!grow(0, 3), "it is calm");
        assert!(grow(1, 1), "though the other falls");
        assert!(!grow(1, 3), "it was there before");
        assert!(grow(1, 4));
    }
}
