//! What the kernel's counters prove by themselves, where no program can be
//! loaded.
//!
//! Counters are not read all at the same instant. A packet that has moved one
//! of its two and not yet the other must not be judged by halves, so a
//! span of time ends only at a moment at which nothing moved.

use std::collections::{BTreeMap, BTreeSet};

use conntrack_ebpf::Reason;

use crate::{
    kernel::limits::is_full,
    observe::check::{
        counter::{Counter, Growth},
        discrepancy::Discrepancy,
        proof::{PacketRange, Proof, Span},
        verdict::Verdict,
    },
};

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

/// Tables that the kernel log has said were full, since the last look.
#[derive(Clone, Debug, Default)]
pub struct FullTables {
    /// The namespaces that it named.
    pub named: BTreeSet<u32>,
    /// Whether it also said so of a namespace that it did not name.
    pub unnamed: bool,
}

/// All looks at a namespace.
#[derive(Clone, Debug, Default)]
struct NetnsHistory {
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

impl NetnsHistory {
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

/// Whether a table is at its limit, or nearly. 0 is no limit.
fn near_limit(entries: Option<u64>, max: Option<u64>) -> bool {
    match (entries, max) {
        // It was seen a moment before or after the packets that it refused.
        (Some(entries), Some(max)) => is_full(entries, max),
        _ => false,
    }
}

/// Whether counters and log can prove a reason; packets lost for another one count
/// as [`Verdict::other`].
pub fn can_prove(reason: Reason) -> bool {
    proved(reason, &Proof::default(), |_| 0).is_some()
}

/// How often something happened for a reason; none if counters and log cannot tell.
fn proved(reason: Reason, proof: &Proof, grown: impl Fn(Counter) -> u64) -> Option<u64> {
    match reason {
        Reason::TableFull => Some(proof.table_full),
        Reason::ChainTooLong => Some(proof.chain_too_long),
        Reason::NonPacketChain => Some(proof.non_packet_chain),
        Reason::Evicted => Some(grown(Counter::EarlyDrop)),
        Reason::ClashResolved => Some(grown(Counter::ClashResolve)),
        // They move the same counters as each other, or as a reason above.
        Reason::NoMemory
        | Reason::Clash
        | Reason::NatExhausted
        | Reason::Dying
        | Reason::StaleExtension
        | Reason::StaleExtensionLate
        | Reason::AlreadyConfirmed
        | Reason::NonPacket
        | Reason::RuleOrRefused => None,
    }
}

/// All looks at all namespaces.
#[derive(Clone, Debug, Default)]
pub struct CounterHistory {
    namespaces: BTreeMap<u32, NetnsHistory>,
}

impl CounterHistory {
    /// Takes in a look at a namespace, and what the log has said since the one
    /// before.
    pub fn look(&mut self, netns: u32, look: &Look<'_>, said_full: &FullTables) {
        let full = said_full.unnamed || said_full.named.contains(&netns);
        self.namespaces.entry(netns).or_default().look(look, full);
    }

    /// What all looks show, over the namespaces that `of` selects. There is no
    /// discrepancy: the counters cannot be compared with anything.
    pub fn verdict(&self, of: impl Fn(u32) -> bool) -> Verdict {
        let proof = self.proof(&of);
        let growth = self.growth(&of);
        let grown = |counter| growth.get(&counter).copied().unwrap_or(0);
        let proved = |reason| Some((reason, proved(reason, &proof, grown)?));
        Verdict {
            from_counters: Reason::ALL
                .into_iter()
                .filter_map(proved)
                .filter(|&(_, packets)| packets > 0)
                .collect(),
            other: proof.other,
            rule_or_refused: 0,
            discrepancy: Discrepancy::default(),
        }
    }

    /// How many packets were lost, over the namespaces that `of` selects.
    pub fn range(&self, of: impl Fn(u32) -> bool) -> PacketRange {
        self.proof(of).range
    }

    /// Growth of the counters, over the namespaces that `of` selects.
    pub fn growth(&self, of: impl Fn(u32) -> bool) -> Growth {
        let mut sum = Growth::new();
        for history in self.select(of) {
            for (&counter, &grown) in &history.growth {
                *sum.entry(counter).or_default() += grown;
            }
        }
        sum
    }

    /// Packets lost in each namespace, as [`Self::verdict`] counts them.
    pub fn drops(&self) -> BTreeMap<u32, u64> {
        self.namespaces
            .iter()
            .map(|(&netns, history)| (netns, history.proof().drops()))
            .collect()
    }

    fn proof(&self, of: impl Fn(u32) -> bool) -> Proof {
        let mut sum = Proof::default();
        self.select(of).for_each(|history| sum.add(history.proof()));
        sum
    }

    fn select(&self, of: impl Fn(u32) -> bool) -> impl Iterator<Item = &NetnsHistory> {
        self.namespaces
            .iter()
            .filter(move |&(&netns, _)| of(netns))
            .map(|(_, history)| history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM_5_15: &[Counter] = &Counter::ALL;

    /// Counters of a kernel that has these, at 0 but for the ones given.
    fn growth(kernel: &[Counter], grown: &[(Counter, u64)]) -> Growth {
        let mut growth: Growth = kernel.iter().map(|&counter| (counter, 0)).collect();
        growth.extend(grown.iter().copied());
        growth
    }

    const fn range(at_least: u64, at_most: u64) -> PacketRange {
        PacketRange { at_least, at_most }
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
        history: CounterHistory,
        growth: Growth,
    }

    impl Story {
        const NETNS: u32 = 7;

        fn begin() -> Self {
            let mut story = Self {
                history: CounterHistory::default(),
                growth: growth(FROM_5_15, &[]),
            };
            story.look(&[], 0, true, &FullTables::default());
            story
        }

        fn look(
            &mut self,
            grown: &[(Counter, u64)],
            entries: u64,
            quiet: bool,
            said_full: &FullTables,
        ) {
            for &(counter, more) in grown {
                *self.growth.entry(counter).or_default() += more;
            }
            let look = Look {
                growth: &self.growth,
                entries: Some(entries),
                max: Some(100),
                quiet,
            };
            self.history.look(Self::NETNS, &look, said_full);
        }

        fn drops(&self) -> (u64, u64, u64) {
            let verdict = self.history.verdict(|_| true);
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
        story.look(&[(Counter::Drop, 5)], 50, true, &FullTables::default());
        assert_eq!(story.drops(), (0, 0, 5), "there was room");
        story.look(&[(Counter::Drop, 7)], 100, true, &FullTables::default());
        assert_eq!(story.drops(), (7, 0, 5), "full at the end");
        story.look(&[(Counter::Drop, 9)], 50, true, &FullTables::default());
        assert_eq!(story.drops(), (16, 0, 5), "full at the beginning");
        story.look(&[(Counter::Drop, 1)], 50, true, &FullTables::default());
        assert_eq!(story.drops(), (16, 0, 6));
    }

    #[test]
    fn the_log_speaks_for_the_namespace_it_names_or_for_any() {
        let named = |netns| FullTables {
            named: [netns].into(),
            unnamed: false,
        };
        let some = FullTables {
            unnamed: true,
            ..FullTables::default()
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
        story.look(
            &[(Counter::InsertFailed, 10)],
            0,
            true,
            &FullTables::default(),
        );
        story.look(&[(Counter::Drop, 5)], 100, true, &FullTables::default());
        assert_eq!(story.drops(), (5, 0, 10));
        assert_eq!(story.history.range(|_| true), range(15, 15));
    }

    #[test]
    fn a_packet_seen_by_halves_is_one_packet() {
        let mut story = Story::begin();
        // A look between the two counters that a clash moves, then the other.
        story.look(&[(Counter::Drop, 1)], 100, false, &FullTables::default());
        story.look(
            &[(Counter::InsertFailed, 1)],
            100,
            true,
            &FullTables::default(),
        );
        assert_eq!(story.drops(), (0, 0, 1));
        assert_eq!(story.history.range(|_| true), range(1, 2));
        // The same for a chain.
        story.look(
            &[(Counter::ChainTooLong, 1)],
            0,
            false,
            &FullTables::default(),
        );
        story.look(
            &[(Counter::InsertFailed, 1)],
            0,
            true,
            &FullTables::default(),
        );
        assert_eq!(story.drops(), (0, 1, 1));
        assert_eq!(story.history.range(|_| true), range(2, 3));
    }

    #[test]
    fn namespaces_are_judged_apart_and_added_up() {
        let mut story = Story::begin();
        story.look(
            &[(Counter::InsertFailed, 3)],
            0,
            true,
            &FullTables::default(),
        );
        let other = growth(FROM_5_15, &[(Counter::Drop, 4), (Counter::EarlyDrop, 6)]);
        let look = Look {
            growth: &other,
            entries: Some(100),
            max: Some(100),
            quiet: true,
        };
        story.history.look(8, &look, &FullTables::default());
        assert_eq!(story.drops(), (4, 0, 3));
        assert_eq!(story.history.range(|_| true), range(7, 7));
        assert_eq!(story.history.range(|netns| netns == 8), range(4, 4));
        assert_eq!(story.history.drops(), [(7, 3), (8, 4)].into());
        let verdict = story.history.verdict(|_| true);
        assert_eq!(verdict.from_counters[&Reason::Evicted], 6);
        assert_eq!(story.history.growth(|_| true)[&Counter::InsertFailed], 3);
    }
}
