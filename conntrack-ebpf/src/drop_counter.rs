//! Tells packets that conntrack refused from packets that a rule dropped, where only
//! the place of the drop is seen, by the kernel's own counter.
//!
//! Netfilter frees both in the same function. Before it frees a refused packet,
//! conntrack adds one to `drop`, a counter of the namespace and of the CPU
//! (`nf_conntrack_in`, `net/netfilter/nf_conntrack_core.c`, 5.10 to 7.3); for a packet
//! that a rule drops, no counter moves. So a dropped packet was refused if the counter
//! has moved on this CPU since the last one.

/// What became of a dropped packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// A rule dropped it.
    ByRule,
    /// Conntrack refused it.
    Refused,
    /// One of the two.
    Undecided,
}

/// Up to which value of the counter its increments belong to packets that were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Accounted {
    /// 0 if that is not known, else the value and one.
    next: u64,
}
const _: () = assert!(size_of::<Accounted>() == 8);

/// Increments whose packet may still be on its way: a softirq can come between a task's
/// increment and its drop, and so can another task.
const ON_THE_WAY: u32 = 2;

impl Accounted {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { next: 0 };

    /// Everything up to this value of the counter.
    pub const fn up_to(counter: u32) -> Self {
        Self {
            next: counter as u64 + 1,
        }
    }

    /// What a packet is that was dropped while the counter stood at this value.
    pub const fn judge(&mut self, counter: u32) -> Dropped {
        let Some(accounted) = self.counter() else {
            *self = Self::up_to(counter);
            return if counter == 0 {
                Dropped::ByRule
            } else {
                Dropped::Undecided
            };
        };
        let moved = counter.wrapping_sub(accounted);
        if moved == 0 {
            return Dropped::ByRule;
        }
        let left = if moved - 1 < ON_THE_WAY {
            moved - 1
        } else {
            ON_THE_WAY
        };
        *self = Self::up_to(counter.wrapping_sub(left));
        Dropped::Refused
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is a value of a counter of 32 bits, and one"
    )]
    const fn counter(self) -> Option<u32> {
        match self.next {
            0 => None,
            more => Some((more - 1) as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges packets dropped while the counter stands at these values.
    fn judge(accounted: Accounted, counters: &[u32]) -> Vec<Dropped> {
        let mut accounted = accounted;
        counters
            .iter()
            .map(|&counter| accounted.judge(counter))
            .collect()
    }

    use Dropped::{ByRule, Refused, Undecided};

    #[test]
    fn a_packet_was_refused_if_the_counter_moved() {
        let from = Accounted::up_to(7);
        assert_eq!(judge(from, &[7, 7]), [ByRule, ByRule]);
        assert_eq!(judge(from, &[8, 9, 9]), [Refused, Refused, ByRule]);
        assert_eq!(
            judge(Accounted::up_to(u32::MAX), &[0, 0]),
            [Refused, ByRule]
        );
    }

    #[test]
    fn a_task_that_was_interrupted_is_not_forgotten() {
        // Its increment, then one and a drop of a softirq, then its own drop.
        assert_eq!(
            judge(Accounted::up_to(0), &[2, 2, 2]),
            [Refused, Refused, ByRule]
        );
    }

    #[test]
    fn increments_without_a_drop_here_prove_little() {
        let judged = judge(Accounted::up_to(0), &[1000; 9]);
        let refused = judged.iter().filter(|&&it| it == Refused).count();
        assert_eq!(refused, 3);
    }

    #[test]
    fn what_was_counted_before_proves_nothing() {
        assert_eq!(
            judge(Accounted::UNKNOWN, &[5, 5, 6]),
            [Undecided, ByRule, Refused]
        );
        assert_eq!(judge(Accounted::UNKNOWN, &[0, 1]), [ByRule, Refused]);
    }
}
