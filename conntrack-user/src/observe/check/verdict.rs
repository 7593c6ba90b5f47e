//! What it means when the counts of the programs and the kernel's counters differ.
//!
//! Which reasons only a counter can tell, and what explains a difference, depends on
//! the backend. What nothing explains is a discrepancy.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;

use crate::observe::{
    backend::Backend,
    check::{counter::Counter, discrepancy::Discrepancy},
    counts::health::Missed,
};

/// Judges what the counters of some namespaces show and no program saw.
pub(crate) fn judge(
    backend: Backend,
    missed: &Missed,
    unseen: impl Iterator<Item = Unseen>,
) -> Verdict {
    match backend {
        // The kernel does not say in which namespace it skipped a program.
        Backend::Fexit | Backend::Kprobe => {
            let mut together = Unseen::default();
            let mut verdict = Verdict::default();
            for unseen in unseen {
                verdict.add(explain_at_rest(&unseen.at_rest));
                verdict.add(explain_unwatched(&unseen.unwatched));
                together.add(&unseen);
            }
            verdict.add(explain_by_misses(&together, missed));
            verdict
        }
        Backend::Tracepoint | Backend::Counters => {
            let mut verdict = Verdict::default();
            for unseen in unseen {
                verdict.add(explain_by_counters(&unseen));
                verdict.add(explain_unwatched(&unseen.unwatched));
            }
            verdict.discrepancy = verdict.discrepancy.explained_by(missed.allocations);
            verdict
        }
    }
}

/// Where counters and programs differ.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unseen {
    /// Counted by the kernel, by no program, though all were attached.
    pub(crate) by_counter: BTreeMap<Counter, u64>,
    /// The same, while only those were that run under pressure.
    pub(crate) at_rest: BTreeMap<Counter, u64>,
    /// The same, while none was.
    pub(crate) unwatched: BTreeMap<Counter, u64>,
    /// Counted by a program, not by the kernel.
    pub(crate) unconfirmed: u64,
    /// Packets that either conntrack refused or a rule dropped.
    pub(crate) rule_or_refused: u64,
}

impl Unseen {
    fn of(&self, counter: Counter) -> u64 {
        self.by_counter.get(&counter).copied().unwrap_or(0)
    }

    fn add(&mut self, more: &Self) {
        for (&counter, unseen) in &more.by_counter {
            *self.by_counter.entry(counter).or_default() += unseen;
        }
        self.unconfirmed += more.unconfirmed;
        self.rule_or_refused += more.rule_or_refused;
    }
}

/// What the counters add to what the programs saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Packets and evictions that only counters show, by the reason that they
    /// prove.
    pub from_counters: BTreeMap<Reason, u64>,
    /// Lost packets that only counters show, for no reason that they prove.
    pub other: u64,
    /// Packets that a counter shows and no program counted as refused, and that may be
    /// those of which the programs could not tell whether a rule dropped them.
    pub rule_or_refused: u64,
    /// Counts that do not match.
    pub discrepancy: Discrepancy,
}

impl Verdict {
    fn add(&mut self, more: Self) {
        for (reason, packets) in more.from_counters {
            *self.from_counters.entry(reason).or_default() += packets;
        }
        self.other += more.other;
        self.rule_or_refused += more.rule_or_refused;
        self.discrepancy.add(more.discrepancy);
    }
}

/// Programs see every reason here: what only a counter shows is a packet whose
/// program was skipped, or a mystery. Two counters have one reason each, and so
/// tell it.
fn explain_by_misses(unseen: &Unseen, missed: &Missed) -> Verdict {
    let beyond = |counter, misses: u64| unseen.of(counter).saturating_sub(misses);
    let told = [
        (Reason::Evicted, unseen.of(Counter::EarlyDrop)),
        (Reason::ClashResolved, unseen.of(Counter::ClashResolve)),
    ];
    Verdict {
        from_counters: told.into_iter().filter(|&(_, times)| times > 0).collect(),
        other: unseen.of(Counter::Drop) + unseen.of(Counter::InsertFailed),
        rule_or_refused: 0,
        discrepancy: Discrepancy {
            unconfirmed: unseen.unconfirmed,
            unseen: beyond(Counter::Drop, missed.allocations + missed.clashes)
                + beyond(Counter::InsertFailed, missed.confirmations + missed.clashes)
                + beyond(Counter::ChainTooLong, missed.confirmations)
                + beyond(Counter::ClashResolve, missed.clashes)
                + beyond(Counter::EarlyDrop, missed.evictions),
        },
    }
}

/// The tracepoint sees only packets without an entry. What else the counters
/// show is theirs to tell, in one namespace at a time.
fn explain_by_counters(unseen: &Unseen) -> Verdict {
    let mut parts = Parts::of(&unseen.by_counter);
    parts.drops = parts.drops.saturating_sub(unseen.rule_or_refused);
    Verdict {
        rule_or_refused: unseen.rule_or_refused,
        discrepancy: Discrepancy {
            unconfirmed: unseen.unconfirmed,
            unseen: parts.drops,
        },
        ..parts.verdict()
    }
}

/// At rest the programs see a full table and clashes. What moves `drop` and
/// `insert_failed` besides has one counter for each packet, and so have
/// evictions.
fn explain_at_rest(grown: &BTreeMap<Counter, u64>) -> Verdict {
    let mut parts = Parts::of(grown);
    parts.failed += parts.clashes;
    parts.drops += parts.clashes;
    parts.clashes = 0;
    parts.verdict()
}

/// With no program attached, the counters are all there is.
fn explain_unwatched(grown: &BTreeMap<Counter, u64>) -> Verdict {
    Parts::of(grown).verdict()
}

/// What counters alone say of one namespace.
struct Parts {
    /// `insert_failed` and `chainlength` together.
    chains: u64,
    /// `chainlength` alone: no packet wanted that entry.
    non_packet_chains: u64,
    /// `drop` and `insert_failed` together.
    clashes: u64,
    /// The rest of `drop`.
    drops: u64,
    /// The rest of `insert_failed`: dying or stale.
    failed: u64,
    evicted: u64,
    resolved: u64,
}

impl Parts {
    fn of(grown: &BTreeMap<Counter, u64>) -> Self {
        let of = |counter| grown.get(&counter).copied().unwrap_or(0);
        let chains = of(Counter::ChainTooLong).min(of(Counter::InsertFailed));
        let failed = of(Counter::InsertFailed) - chains;
        let clashes = of(Counter::Drop).min(failed);
        Self {
            chains,
            non_packet_chains: of(Counter::ChainTooLong) - chains,
            clashes,
            drops: of(Counter::Drop) - clashes,
            failed: failed - clashes,
            evicted: of(Counter::EarlyDrop),
            resolved: of(Counter::ClashResolve),
        }
    }

    fn verdict(&self) -> Verdict {
        let proved = [
            (Reason::ChainTooLong, self.chains),
            (Reason::NonPacketChain, self.non_packet_chains),
            (Reason::Clash, self.clashes),
            (Reason::Evicted, self.evicted),
            (Reason::ClashResolved, self.resolved),
        ];
        Verdict {
            from_counters: proved
                .into_iter()
                .filter(|&(_, packets)| packets > 0)
                .collect(),
            other: self.drops + self.failed,
            rule_or_refused: 0,
            discrepancy: Discrepancy::default(),
        }
    }
}
