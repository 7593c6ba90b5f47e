//! Counts that do not match the kernel's counters.

/// How far the programs' counts and the kernel's counters do not match, beyond what is
/// explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discrepancy {
    /// Packets that a program counted and that match no kernel counter.
    pub unconfirmed: u64,
    /// Increments of kernel counters that match no packet.
    pub unseen: u64,
}

impl Discrepancy {
    /// Both together: `unexplained` in JSON.
    pub const fn total(self) -> u64 {
        self.unconfirmed + self.unseen
    }

    /// Adds another one.
    pub const fn add(&mut self, more: Self) {
        self.unconfirmed += more.unconfirmed;
        self.unseen += more.unseen;
    }

    /// Takes as much of it away as is explained: first of what no program saw.
    #[must_use]
    pub const fn explained_by(self, explained: u64) -> Self {
        let rest = explained.saturating_sub(self.unseen);
        Self {
            unconfirmed: self.unconfirmed.saturating_sub(rest),
            unseen: self.unseen.saturating_sub(explained),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_explained_is_taken_from_the_sum() {
        let discrepancy = Discrepancy {
            unconfirmed: 5,
            unseen: 3,
        };
        for explained in 0..10 {
            let left = discrepancy.explained_by(explained);
            assert_eq!(left.total(), 8_u64.saturating_sub(explained));
            assert!(left.unseen == 0 || left.unconfirmed == 5);
        }
    }
}
