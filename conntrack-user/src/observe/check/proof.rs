//! What the growth of counters proves: how many packets were lost, and for which
//! reasons.
//!
//! A counter tells how often something happened, not to which packet, and one
//! packet can move two. So a number of lost packets is only known as a range,
//! and a reason only where a counter or the kernel log speaks for it. What a
//! counter means has changed: the rules are told by the counters there are, not by
//! the release, because distributions carry changes back.

use serde::Serialize;

use crate::{
    kernel::counters::Totals,
    observe::check::{
        counter::{Counter, Growth},
        growth::growth,
    },
};

/// By which rules a kernel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    /// Before 5.10. `insert_failed` counts some lost packets, and on most of
    /// these kernels also clashes that were resolved: no loss can be told by it.
    Old,
    /// 5.10 to 5.14, RHEL 8.5: resolved clashes have a counter of their own, so
    /// `insert_failed` counts lost packets alone.
    ClashesTold,
    /// 5.15 and later: long chains have one, too.
    ChainsTold,
}

impl Rules {
    fn of(growth: &Growth) -> Self {
        if growth.contains_key(&Counter::ChainTooLong) {
            Self::ChainsTold
        } else if growth.contains_key(&Counter::ClashResolve) {
            Self::ClashesTold
        } else {
            Self::Old
        }
    }
}

/// How many packets were surely lost, and how many at most; of those that any
/// counter shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PacketRange {
    /// No fewer than this.
    pub at_least: u64,
    /// No more than this.
    pub at_most: u64,
}

impl PacketRange {
    /// How many packets a growth of counters stands for, if nothing else is
    /// known.
    pub fn of(totals: &Totals) -> Self {
        let span = Span {
            growth: growth(totals),
            while_full: 0,
        };
        span.proof().range
    }

    /// What has been added since an earlier range.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            at_least: self.at_least.saturating_sub(earlier.at_least),
            at_most: self.at_most.saturating_sub(earlier.at_most),
        }
    }

    const fn add(&mut self, more: Self) {
        self.at_least += more.at_least;
        self.at_most += more.at_most;
    }
}

/// Counters of a namespace over a time at whose ends no packet had moved one
/// of its counters and not yet the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) growth: Growth,
    /// The part of `drop` that moved while the table was or seemed full.
    pub(crate) while_full: u64,
}

/// What a span shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) table_full: u64,
    pub(crate) chain_too_long: u64,
    pub(crate) non_packet_chain: u64,
    pub(crate) other: u64,
    pub(crate) range: PacketRange,
}

impl Span {
    fn of(&self, counter: Counter) -> u64 {
        self.growth.get(&counter).copied().unwrap_or(0)
    }

    /// Which counters a loss moves: `docs/counting.md`.
    ///
    /// A lost clash moves `drop` and `insert_failed`; so does every pair of a
    /// full table and a dying entry. What both counters share may therefore be
    /// clashes, each counted once, or twice as many packets. It is never called
    /// a full table.
    pub(crate) fn proof(&self) -> Proof {
        let (drop, failed) = (self.of(Counter::Drop), self.of(Counter::InsertFailed));
        let range = PacketRange {
            at_least: drop.max(failed),
            at_most: drop + failed,
        };
        match Rules::of(&self.growth) {
            Rules::Old => {
                let table_full = self.while_full.min(drop);
                Proof {
                    table_full,
                    other: drop - table_full,
                    range: PacketRange {
                        at_least: drop,
                        ..range
                    },
                    ..Proof::default()
                }
            }
            Rules::ClashesTold | Rules::ChainsTold => {
                let chains = self.of(Counter::ChainTooLong);
                // A refused entry that no packet wanted moves `chain_too_long`
                // alone.
                let chain_too_long = chains.min(failed);
                let failed = failed - chain_too_long;
                let clashes_at_most = drop.min(failed);
                let table_full = self.while_full.min(drop - clashes_at_most);
                Proof {
                    table_full,
                    chain_too_long,
                    non_packet_chain: chains - chain_too_long,
                    other: drop.max(failed) - table_full,
                    range,
                }
            }
        }
    }
}

impl Proof {
    pub(crate) fn add(&mut self, more: Self) {
        self.table_full += more.table_full;
        self.chain_too_long += more.chain_too_long;
        self.non_packet_chain += more.non_packet_chain;
        self.other += more.other;
        self.range.add(more.range);
    }

    /// Packets lost, for whatever reason.
    pub(crate) const fn drops(&self) -> u64 {
        self.table_full + self.chain_too_long + self.other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[Counter] = &[Counter::Drop, Counter::InsertFailed, Counter::EarlyDrop];
    const FROM_5_10: &[Counter] = &[
        Counter::Drop,
        Counter::InsertFailed,
        Counter::EarlyDrop,
        Counter::ClashResolve,
    ];
    const FROM_5_15: &[Counter] = &Counter::ALL;

    /// Counters of a kernel that has these, at 0 but for the ones given.
    fn growth(kernel: &[Counter], grown: &[(Counter, u64)]) -> Growth {
        let mut growth: Growth = kernel.iter().map(|&counter| (counter, 0)).collect();
        growth.extend(grown.iter().copied());
        growth
    }

    fn proof(kernel: &[Counter], grown: &[(Counter, u64)], while_full: u64) -> Proof {
        let growth = growth(kernel, grown);
        Span { growth, while_full }.proof()
    }

    const fn range(at_least: u64, at_most: u64) -> PacketRange {
        PacketRange { at_least, at_most }
    }

    #[test]
    fn the_rules_are_told_by_the_counters() {
        let of = |kernel| Rules::of(&growth(kernel, &[]));
        assert_eq!(of(OLD), Rules::Old);
        assert_eq!(of(FROM_5_10), Rules::ClashesTold);
        assert_eq!(of(FROM_5_15), Rules::ChainsTold);
    }

    #[test]
    fn a_full_table_alone_is_exact_on_every_kernel() {
        for kernel in [OLD, FROM_5_10, FROM_5_15] {
            let expected = Proof {
                table_full: 1_000_000,
                range: range(1_000_000, 1_000_000),
                ..Proof::default()
            };
            assert_eq!(
                proof(kernel, &[(Counter::Drop, 1_000_000)], 1_000_000),
                expected
            );
        }
    }

    #[test]
    fn drops_with_room_in_the_table_are_of_no_known_reason() {
        for kernel in [OLD, FROM_5_10, FROM_5_15] {
            let expected = Proof {
                table_full: 30,
                other: 70,
                range: range(100, 100),
                ..Proof::default()
            };
            assert_eq!(proof(kernel, &[(Counter::Drop, 100)], 30), expected);
        }
    }

    #[test]
    fn what_two_counters_share_may_be_clashes_and_is_no_full_table() {
        let grown = [(Counter::Drop, 103), (Counter::InsertFailed, 3)];
        for kernel in [FROM_5_10, FROM_5_15] {
            let expected = Proof {
                table_full: 100,
                other: 3,
                range: range(103, 106),
                ..Proof::default()
            };
            assert_eq!(proof(kernel, &grown, 103), expected);
        }
    }

    #[test]
    fn clashes_alone_are_lost_once_or_twice() {
        let grown = [(Counter::Drop, 500), (Counter::InsertFailed, 500)];
        for kernel in [FROM_5_10, FROM_5_15] {
            // Whatever the limit says.
            for while_full in [0, 500] {
                let expected = Proof {
                    other: 500,
                    range: range(500, 1000),
                    ..Proof::default()
                };
                assert_eq!(proof(kernel, &grown, while_full), expected);
            }
        }
    }

    #[test]
    fn what_no_drop_counter_shows_is_lost_all_the_same() {
        // Entries that were dying.
        let expected = Proof {
            other: 7,
            range: range(7, 7),
            ..Proof::default()
        };
        assert_eq!(proof(FROM_5_10, &[(Counter::InsertFailed, 7)], 0), expected);
        let more = Proof {
            other: 7,
            range: range(7, 9),
            ..Proof::default()
        };
        let grown = [(Counter::InsertFailed, 7), (Counter::Drop, 2)];
        assert_eq!(proof(FROM_5_10, &grown, 2), more);
    }

    #[test]
    fn a_long_chain_is_told_by_its_own_counter() {
        let grown = [
            (Counter::ChainTooLong, 50),
            (Counter::InsertFailed, 50),
            (Counter::Drop, 100),
        ];
        let expected = Proof {
            table_full: 100,
            chain_too_long: 50,
            range: range(100, 150),
            ..Proof::default()
        };
        assert_eq!(proof(FROM_5_15, &grown, 100), expected);
    }

    #[test]
    fn a_chain_too_long_for_no_packet_is_no_loss() {
        let grown = [(Counter::ChainTooLong, 60), (Counter::InsertFailed, 50)];
        let expected = Proof {
            chain_too_long: 50,
            non_packet_chain: 10,
            range: range(50, 50),
            ..Proof::default()
        };
        assert_eq!(proof(FROM_5_15, &grown, 0), expected);
    }

    #[test]
    fn an_old_kernel_counts_resolved_clashes_as_failed() {
        // A busy resolver beside a full table: of the 2,000 nothing is known.
        let grown = [(Counter::Drop, 1000), (Counter::InsertFailed, 2000)];
        let expected = Proof {
            table_full: 1000,
            range: range(1000, 3000),
            ..Proof::default()
        };
        assert_eq!(proof(OLD, &grown, 1000), expected);
        let nothing_surely = Proof {
            range: range(0, 2000),
            ..Proof::default()
        };
        assert_eq!(
            proof(OLD, &[(Counter::InsertFailed, 2000)], 0),
            nothing_surely
        );
    }

    #[test]
    fn what_is_said_lies_in_the_range_whatever_the_counters() {
        let some = [0, 1, 2, 5, 9];
        for kernel in [OLD, FROM_5_10, FROM_5_15] {
            for drop in some {
                for failed in some {
                    for chains in some {
                        for full in 0..=drop {
                            let mut grown =
                                vec![(Counter::Drop, drop), (Counter::InsertFailed, failed)];
                            if kernel == FROM_5_15 {
                                grown.push((Counter::ChainTooLong, chains));
                            }
                            let proof = proof(kernel, &grown, full);
                            let PacketRange { at_least, at_most } = proof.range;
                            assert!(
                                (at_least..=at_most).contains(&proof.drops()),
                                "{grown:?}: {proof:?}"
                            );
                            assert!(proof.table_full <= full, "{grown:?}: {proof:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_range_holds_whatever_happened() {
        // Every mixture of real events, by the counters that each moves.
        for (full, clash, chain) in (0..27).map(|n| (n % 3, n / 3 % 3, n / 9)) {
            for (dying, entries) in (0..9).map(|n| (n % 3, n / 3)) {
                let grown = [
                    (Counter::Drop, full + clash),
                    (Counter::InsertFailed, clash + chain + dying),
                    (Counter::ChainTooLong, chain + entries),
                ];
                let PacketRange { at_least, at_most } = proof(FROM_5_15, &grown, full).range;
                let lost = full + clash + chain + dying;
                assert!(
                    (at_least..=at_most).contains(&lost),
                    "{lost} not in {at_least} to {at_most}: {grown:?}"
                );
            }
        }
    }
}
