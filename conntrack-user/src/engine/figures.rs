//! The numbers of a report: what was refused, by reason, and how sure that is.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;

use crate::{
    engine::select::Select,
    observe::{
        check::{counter::Growth, discrepancy::Discrepancy, proof::PacketRange},
        counts::tally::{Tally, is_drop},
        observer::snapshot::Snapshot,
    },
    say::reason::{OTHER, reason_name},
};

/// Everything counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Packets lost, by name of the reason; every reason is there, 0 or not.
    pub drops: BTreeMap<&'static str, u64>,
    /// Entries that `early_drop` killed.
    pub evicted: u64,
    /// Clashes in which no packet was lost.
    pub clash_resolved: u64,
    /// Entries refused that no packet wanted.
    pub non_packet: u64,
    /// Packets that either a rule dropped or conntrack refused; no more than the
    /// kernel's counters allow.
    pub rule_or_refused: u64,
    /// Packets in `drops` whose flow has no count of its own.
    pub unattributed: u64,
    /// Growth of the kernel's counters.
    pub kernel: Growth,
    /// Counts that do not match the kernel's counters.
    pub discrepancy: Discrepancy,
    /// See [`Snapshot::unchecked`].
    pub unchecked: u64,
    /// Of what was recorded, which is without `kernel`: whether the counts and the kernel's
    /// counters agreed; none of what is observed.
    pub recorded: Option<bool>,
    /// How many packets were lost, where only counters tell; of all reasons.
    pub range: Option<PacketRange>,
    /// Packets lost by namespace; where only counters tell, for all reasons.
    pub by_netns: BTreeMap<u32, u64>,
    /// What the programs counted by namespace and reason, also of reasons for which no
    /// packet is lost. Of namespace 0 also what counters add, of whichever namespace.
    pub counts: BTreeMap<(u32, Reason), u64>,
    /// Flows with lost packets that have a count of their own. After too many have come
    /// this can be less than it was.
    pub flows: u64,
}

impl Figures {
    /// Collects them, over what is selected.
    pub fn collect(snapshot: &Snapshot, tally: &Tally, select: &Select) -> Self {
        let mut counted: BTreeMap<Reason, u64> = Reason::ALL.map(|reason| (reason, 0)).into();
        for (&reason, packets) in &snapshot.verdict.from_counters {
            *counted.entry(reason).or_default() += packets;
        }
        for totals in snapshot.totals.values() {
            for reason in Reason::ALL {
                *counted.entry(reason).or_default() += totals.of(reason);
            }
        }
        let mut figures = Self {
            kernel: snapshot.growth.clone(),
            discrepancy: snapshot.verdict.discrepancy,
            unchecked: snapshot.unchecked,
            range: snapshot.range,
            by_netns: by_netns(snapshot, select),
            counts: counts(snapshot, select),
            ..Self::default()
        };
        for (reason, packets) in counted {
            figures.add(reason, packets, select);
        }
        if select.reason(OTHER) {
            figures.drops.insert(OTHER, snapshot.verdict.other);
        }
        if select.reason(reason_name(Reason::RuleOrRefused)) {
            figures.rule_or_refused = snapshot.verdict.rule_or_refused;
        }
        let mut attributed = 0;
        for (key, entry) in tally.flows() {
            if select.totals_of(key) && is_drop(key.reason) {
                attributed += entry.count.packets;
                figures.flows += 1;
            }
        }
        figures.unattributed = figures.total().saturating_sub(attributed);
        figures
    }

    fn add(&mut self, reason: Reason, packets: u64, select: &Select) {
        let name = reason_name(reason);
        if !select.reason(name) {
            return;
        }
        match reason {
            Reason::Evicted => self.evicted += packets,
            Reason::ClashResolved => self.clash_resolved += packets,
            Reason::NonPacket | Reason::NonPacketChain => self.non_packet += packets,
            // As far as counters allow: see `collect`.
            Reason::RuleOrRefused => {}
            Reason::TableFull
            | Reason::NoMemory
            | Reason::Clash
            | Reason::NatExhausted
            | Reason::ChainTooLong
            | Reason::Dying
            | Reason::StaleExtension
            | Reason::StaleExtensionLate
            | Reason::AlreadyConfirmed => *self.drops.entry(name).or_default() += packets,
        }
    }

    /// Packets lost, for whatever reason.
    pub fn total(&self) -> u64 {
        self.drops.values().sum()
    }

    /// Whether the counts and the kernel's counters agree to the packet. Not
    /// so if there were no counters to compare the counts with.
    pub fn reconciled(&self) -> bool {
        let agree = self.recorded.unwrap_or(!self.kernel.is_empty());
        self.discrepancy.total() == 0 && agree
    }

    /// What has come since an earlier collection. What is said of the whole
    /// time (`discrepancy`, `unchecked`) stays as it is.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let drops = more(&self.drops, &earlier.drops);
        let lost = drops.values().sum();
        Self {
            drops,
            evicted: self.evicted.saturating_sub(earlier.evicted),
            clash_resolved: self.clash_resolved.saturating_sub(earlier.clash_resolved),
            non_packet: self.non_packet.saturating_sub(earlier.non_packet),
            rule_or_refused: self.rule_or_refused.saturating_sub(earlier.rule_or_refused),
            unattributed: self
                .unattributed
                .saturating_sub(earlier.unattributed)
                .min(lost),
            kernel: more(&self.kernel, &earlier.kernel),
            discrepancy: self.discrepancy,
            unchecked: self.unchecked,
            recorded: self.recorded,
            range: self
                .range
                .map(|range| range.since(earlier.range.unwrap_or_default())),
            by_netns: more(&self.by_netns, &earlier.by_netns),
            counts: more(&self.counts, &earlier.counts),
            flows: self.flows.saturating_sub(earlier.flows),
        }
    }

    /// Those of this interval and the next one. What is said of the whole time stays
    /// as the later one says it.
    #[must_use]
    pub fn and(&self, later: &Self) -> Self {
        Self {
            drops: added(&self.drops, &later.drops),
            evicted: self.evicted + later.evicted,
            clash_resolved: self.clash_resolved + later.clash_resolved,
            non_packet: self.non_packet + later.non_packet,
            rule_or_refused: self.rule_or_refused + later.rule_or_refused,
            unattributed: self.unattributed + later.unattributed,
            kernel: added(&self.kernel, &later.kernel),
            discrepancy: later.discrepancy,
            unchecked: later.unchecked,
            recorded: later.recorded,
            range: match (self.range, later.range) {
                (Some(range), Some(more)) => Some(PacketRange {
                    at_least: range.at_least + more.at_least,
                    at_most: range.at_most + more.at_most,
                }),
                (range, more) => range.or(more),
            },
            by_netns: added(&self.by_netns, &later.by_netns),
            counts: added(&self.counts, &later.counts),
            flows: self.flows + later.flows,
        }
    }
}

fn added<K: Copy + Ord>(one: &BTreeMap<K, u64>, other: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let mut sums = one.clone();
    for (&key, packets) in other {
        *sums.entry(key).or_default() += packets;
    }
    sums
}

fn more<K: Copy + Ord>(now: &BTreeMap<K, u64>, earlier: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let grown = now.iter().map(|(&key, packets)| {
        let before = earlier.get(&key).copied().unwrap_or(0);
        (key, packets.saturating_sub(before))
    });
    grown.collect()
}

/// What was counted by namespace and reason, of what is selected.
fn counts(snapshot: &Snapshot, select: &Select) -> BTreeMap<(u32, Reason), u64> {
    let selected = |reason: Reason| select.reason(reason_name(reason));
    let mut counts = BTreeMap::new();
    for (&netns, totals) in &snapshot.totals {
        for reason in Reason::ALL.into_iter().filter(|&reason| selected(reason)) {
            counts.insert((netns, reason), totals.of(reason));
        }
    }
    for (&reason, packets) in &snapshot.verdict.from_counters {
        if selected(reason) {
            *counts.entry((0, reason)).or_default() += packets;
        }
    }
    counts.retain(|_, packets| *packets > 0);
    counts
}

/// Packets lost by namespace: those that the programs counted, with a flow or
/// without, or those that the counters show.
fn by_netns(snapshot: &Snapshot, select: &Select) -> BTreeMap<u32, u64> {
    let programs = snapshot.totals.iter().map(|(&netns, totals)| {
        let lost = Reason::ALL
            .into_iter()
            .filter(|&reason| reason.is_drop() && select.reason(reason_name(reason)));
        (netns, lost.map(|reason| totals.of(reason)).sum())
    });
    programs.chain(snapshot.drops_by_counters.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_the_difference_but_a_doubt_stays() {
        let earlier = Figures {
            drops: [("clash", 2), ("table_full", 10)].into(),
            evicted: 1,
            discrepancy: Discrepancy {
                unconfirmed: 3,
                unseen: 0,
            },
            ..Figures::default()
        };
        let later = Figures {
            drops: [("clash", 2), ("table_full", 15)].into(),
            evicted: 4,
            discrepancy: Discrepancy {
                unconfirmed: 3,
                unseen: 0,
            },
            ..Figures::default()
        };
        let interval = later.since(&earlier);
        assert_eq!(interval.drops, [("clash", 0), ("table_full", 5)].into());
        assert_eq!((interval.evicted, interval.total()), (3, 5));
        assert!(!interval.reconciled());
    }

    #[test]
    fn two_intervals_are_one_longer_one() {
        let figures = |packets, clashes| Figures {
            drops: [("clash", clashes), ("table_full", packets)].into(),
            by_netns: [(7, packets + clashes)].into(),
            counts: [((7, Reason::TableFull), packets)].into(),
            flows: packets,
            evicted: packets,
            discrepancy: Discrepancy {
                unconfirmed: packets,
                unseen: 0,
            },
            ..Figures::default()
        };
        let (none, first, second) = (Figures::default(), figures(10, 1), figures(25, 1));
        let apart = first.since(&none).and(&second.since(&first));
        assert_eq!(apart, second.since(&none));
    }
}
