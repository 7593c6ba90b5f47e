//! What the kernel's counters prove by themselves, where no program can be
//! loaded.
//!
//! A counter tells how often something happened, not to which packet, and one
//! packet can move two. So a number of lost packets is only known as a range,
//! and a reason only where a counter or the kernel log speaks for it. What a
//! counter means has changed: the generation is told by the counters there
//! are, not by the release, because distributions carry changes back.
//!
//! Counters are not read all at the same instant. A packet that has moved one
//! of its two and not yet the other must not be judged by halves, so a
//! span of time ends only at a moment at which nothing moved.

use std::collections::{BTreeMap, BTreeSet};

use conntrack_ebpf::Reason;
use serde::Serialize;

use crate::{
    kernel::counters::Totals,
    observe::check::{
        counter::{Counter, Growth},
        growth::growth,
        verdict::Verdict,
    },
};

/// The rules by which a kernel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    /// Before 5.10. `insert_failed` counts some lost packets, and on most of
    /// these kernels also clashes that were resolved: no loss can be told by it.
    Old,
    /// 5.10 to 5.14, RHEL 8.5: resolved clashes have a counter of their own, so
    /// `insert_failed` counts lost packets alone.
    ClashesTold,
    /// 5.15 and later: long chains have one, too.
    ChainsTold,
}

impl Generation {
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
pub struct Range {
    /// No fewer than this.
    pub at_least: u64,
    /// No more than this.
    pub at_most: u64,
}

impl Range {
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
struct Span {
    growth: Growth,
    /// The part of `drop` that moved while the table was or seemed full.
    while_full: u64,
}

/// What a span shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Proof {
    table_full: u64,
    chain_too_long: u64,
    non_packet_chain: u64,
    other: u64,
    range: Range,
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
    fn proof(&self) -> Proof {
        let (drop, failed) = (self.of(Counter::Drop), self.of(Counter::InsertFailed));
        let range = Range {
            at_least: drop.max(failed),
            at_most: drop + failed,
        };
        match Generation::of(&self.growth) {
            Generation::Old => {
                let table_full = self.while_full.min(drop);
                Proof {
                    table_full,
                    other: drop - table_full,
                    range: Range {
                        at_least: drop,
                        ..range
                    },
                    ..Proof::default()
                }
            }
            Generation::ClashesTold | Generation::ChainsTold => {
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
    fn add(&mut self, more: Self) {
        self.table_full += more.table_full;
        self.chain_too_long += more.chain_too_long;
        self.non_packet_chain += more.non_packet_chain;
        self.other += more.other;
        self.range.add(more.range);
    }

    const fn drops(&self) -> u64 {
        self.table_full + self.chain_too_long + self.other
    }
}

/// One look at a namespace.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// How far its counters have moved since the start.
    pub growth: &'a Growth,
    /// Entries in the table, if known.
    pub entries: Option<u64>,
    /// The limit, if known.
    pub max: Option<u64>,
    /// Whether nothing moved during the look.
    pub quiet: bool,
}

/// What the kernel log has said since the last look.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// That the table of these namespaces was full.
    pub full: BTreeSet<u32>,
    /// That a table was full, and not whose.
    pub some_full: bool,
}

/// All looks at a namespace.
#[derive(Clone, Debug, Default)]
struct Course {
    /// Up to the last quiet moment.
    settled: Proof,
    /// The counters then.
    settled_at: Growth,
    /// Part of `drop` that has moved since then while the table was full.
    while_full: u64,
    /// The counters at the last look.
    growth: Growth,
    /// Whether the table was near its limit at the last look.
    near_limit: bool,
}

impl Course {
    fn look(&mut self, look: &Look<'_>, said: bool) {
        let drop = |growth: &Growth| growth.get(&Counter::Drop).copied().unwrap_or(0);
        let near_limit = near_limit(look.entries, look.max);
        if near_limit || self.near_limit || said {
            self.while_full += drop(look.growth).saturating_sub(drop(&self.growth));
        }
        self.near_limit = near_limit;
        self.growth.clone_from(look.growth);
        if look.quiet {
            let proof = self.unsettled().proof();
            self.settled.add(proof);
            self.settled_at.clone_from(&self.growth);
            self.while_full = 0;
        }
    }

    fn unsettled(&self) -> Span {
        let since = |(&counter, &grown): (&Counter, &u64)| {
            let before = self.settled_at.get(&counter).copied().unwrap_or(0);
            (counter, grown.saturating_sub(before))
        };
        Span {
            growth: self.growth.iter().map(since).collect(),
            while_full: self.while_full,
        }
    }

    fn proof(&self) -> Proof {
        let mut proof = self.settled;
        proof.add(self.unsettled().proof());
        proof
    }
}

/// A table with this many per cent of its limit is taken for full: it was seen
/// a moment before or after the packets that it refused.
const NEAR: u64 = 95;

/// Whether a table is at its limit, or nearly. 0 is no limit.
fn near_limit(entries: Option<u64>, max: Option<u64>) -> bool {
    match (entries, max) {
        (Some(entries), Some(max)) => {
            max > 0 && entries.saturating_mul(100) >= max.saturating_mul(NEAR)
        }
        _ => false,
    }
}

/// All looks at all namespaces.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    namespaces: BTreeMap<u32, Course>,
}

impl Evidence {
    /// Takes in a look at a namespace, and what the log has said since the one
    /// before.
    pub fn look(&mut self, netns: u32, look: &Look<'_>, said: &Said) {
        let full = said.some_full || said.full.contains(&netns);
        self.namespaces.entry(netns).or_default().look(look, full);
    }

    /// What all looks show, over the namespaces chosen. Nothing is unexplained:
    /// the counters are held against nothing but themselves.
    pub fn verdict(&self, of: impl Fn(u32) -> bool) -> Verdict {
        let proof = self.proof(&of);
        let growth = self.growth(&of);
        let grown = |counter| growth.get(&counter).copied().unwrap_or(0);
        let proved = [
            (Reason::TableFull, proof.table_full),
            (Reason::ChainTooLong, proof.chain_too_long),
            (Reason::NonPacketChain, proof.non_packet_chain),
            (Reason::Evicted, grown(Counter::EarlyDrop)),
            (Reason::ClashResolved, grown(Counter::ClashResolve)),
        ];
        Verdict {
            from_counters: proved
                .into_iter()
                .filter(|&(_, packets)| packets > 0)
                .collect(),
            other: proof.other,
            unexplained: 0,
        }
    }

    /// How many packets were lost, over the namespaces chosen.
    pub fn range(&self, of: impl Fn(u32) -> bool) -> Range {
        self.proof(of).range
    }

    /// Growth of the counters, over the namespaces chosen.
    pub fn growth(&self, of: impl Fn(u32) -> bool) -> Growth {
        let mut sum = Growth::new();
        for course in self.chosen(of) {
            for (&counter, &grown) in &course.growth {
                *sum.entry(counter).or_default() += grown;
            }
        }
        sum
    }

    /// Packets lost in each namespace, as [`Self::verdict`] counts them.
    pub fn drops(&self) -> BTreeMap<u32, u64> {
        self.namespaces
            .iter()
            .map(|(&netns, course)| (netns, course.proof().drops()))
            .collect()
    }

    fn proof(&self, of: impl Fn(u32) -> bool) -> Proof {
        let mut sum = Proof::default();
        self.chosen(of).for_each(|course| sum.add(course.proof()));
        sum
    }

    fn chosen(&self, of: impl Fn(u32) -> bool) -> impl Iterator<Item = &Course> {
        self.namespaces
            .iter()
            .filter(move |&(&netns, _)| of(netns))
            .map(|(_, course)| course)
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

    const fn range(at_least: u64, at_most: u64) -> Range {
        Range { at_least, at_most }
    }

    #[test]
    fn the_generation_is_told_by_the_counters() {
        let of = |kernel| Generation::of(&growth(kernel, &[]));
        assert_eq!(of(OLD), Generation::Old);
        assert_eq!(of(FROM_5_10), Generation::ClashesTold);
        assert_eq!(of(FROM_5_15), Generation::ChainsTold);
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
                            let Range { at_least, at_most } = proof.range;
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
                let Range { at_least, at_most } = proof(FROM_5_15, &grown, full).range;
                let lost = full + clash + chain + dying;
                assert!(
                    (at_least..=at_most).contains(&lost),
                    "{lost} not in {at_least} to {at_most}: {grown:?}"
                );
            }
        }
    }

    #[test]
    fn the_limit_is_near_from_95_per_cent() {
        let near = |entries, max| near_limit(Some(entries), Some(max));
        assert!(near(950, 1000) && near(1000, 1000) && near(1001, 1000));
        assert!(!near(949, 1000) && !near(0, 1000));
        assert!(!near(5, 0), "0 is no limit");
        assert!(near(u64::MAX, u64::MAX));
        assert!(!near_limit(None, Some(1)) && !near_limit(Some(1), None));
    }

    /// Looks at one namespace of a kernel of today.
    struct Story {
        evidence: Evidence,
        growth: Growth,
    }

    impl Story {
        const NETNS: u32 = 7;

        fn begin() -> Self {
            let mut story = Self {
                evidence: Evidence::default(),
                growth: growth(FROM_5_15, &[]),
            };
            story.look(&[], 0, true, &Said::default());
            story
        }

        fn look(&mut self, grown: &[(Counter, u64)], entries: u64, quiet: bool, said: &Said) {
            for &(counter, more) in grown {
                *self.growth.entry(counter).or_default() += more;
            }
            let look = Look {
                growth: &self.growth,
                entries: Some(entries),
                max: Some(100),
                quiet,
            };
            self.evidence.look(Self::NETNS, &look, said);
        }

        fn drops(&self) -> (u64, u64, u64) {
            let verdict = self.evidence.verdict(|_| true);
            let of = |reason| verdict.from_counters.get(&reason).copied().unwrap_or(0);
            (
                of(Reason::TableFull),
                of(Reason::ChainTooLong),
                verdict.other,
            )
        }
    }

    #[test]
    fn a_table_near_its_limit_at_either_end_is_full() {
        let mut story = Story::begin();
        story.look(&[(Counter::Drop, 5)], 50, true, &Said::default());
        assert_eq!(story.drops(), (0, 0, 5), "there was room");
        story.look(&[(Counter::Drop, 7)], 100, true, &Said::default());
        assert_eq!(story.drops(), (7, 0, 5), "full at the end");
        story.look(&[(Counter::Drop, 9)], 50, true, &Said::default());
        assert_eq!(story.drops(), (16, 0, 5), "full at the beginning");
        story.look(&[(Counter::Drop, 1)], 50, true, &Said::default());
        assert_eq!(story.drops(), (16, 0, 6));
    }

    #[test]
    fn the_log_speaks_for_the_namespace_it_names_or_for_any() {
        let named = |netns| Said {
            full: [netns].into(),
            some_full: false,
        };
        let some = Said {
            some_full: true,
            ..Said::default()
        };
        let mut story = Story::begin();
        story.look(&[(Counter::Drop, 5)], 0, true, &named(Story::NETNS));
        assert_eq!(story.drops(), (5, 0, 0));
        story.look(&[(Counter::Drop, 5)], 0, true, &named(8));
        assert_eq!(story.drops(), (5, 0, 5));
        story.look(&[(Counter::Drop, 5)], 0, true, &some);
        assert_eq!(story.drops(), (10, 0, 5));
    }

    #[test]
    fn a_quiet_moment_parts_what_cannot_be_one_packet() {
        let mut story = Story::begin();
        story.look(&[(Counter::InsertFailed, 10)], 0, true, &Said::default());
        story.look(&[(Counter::Drop, 5)], 100, true, &Said::default());
        assert_eq!(story.drops(), (5, 0, 10));
        assert_eq!(story.evidence.range(|_| true), range(15, 15));
    }

    #[test]
    fn a_packet_seen_by_halves_is_one_packet() {
        let mut story = Story::begin();
        // A look between the two counters that a clash moves, then the other.
        story.look(&[(Counter::Drop, 1)], 100, false, &Said::default());
        story.look(&[(Counter::InsertFailed, 1)], 100, true, &Said::default());
        assert_eq!(story.drops(), (0, 0, 1));
        assert_eq!(story.evidence.range(|_| true), range(1, 2));
        // The same for a chain.
        story.look(&[(Counter::ChainTooLong, 1)], 0, false, &Said::default());
        story.look(&[(Counter::InsertFailed, 1)], 0, true, &Said::default());
        assert_eq!(story.drops(), (0, 1, 1));
        assert_eq!(story.evidence.range(|_| true), range(2, 3));
    }

    #[test]
    fn namespaces_are_judged_apart_and_added_up() {
        let mut story = Story::begin();
        story.look(&[(Counter::InsertFailed, 3)], 0, true, &Said::default());
        let other = growth(FROM_5_15, &[(Counter::Drop, 4), (Counter::EarlyDrop, 6)]);
        let look = Look {
            growth: &other,
            entries: Some(100),
            max: Some(100),
            quiet: true,
        };
        story.evidence.look(8, &look, &Said::default());
        assert_eq!(story.drops(), (4, 0, 3));
        assert_eq!(story.evidence.range(|_| true), range(7, 7));
        assert_eq!(story.evidence.range(|netns| netns == 8), range(4, 4));
        assert_eq!(story.evidence.drops(), [(7, 3), (8, 4)].into());
        let verdict = story.evidence.verdict(|_| true);
        assert_eq!(verdict.from_counters[&Reason::Evicted], 6);
        assert_eq!(story.evidence.growth(|_| true)[&Counter::InsertFailed], 3);
    }
}
