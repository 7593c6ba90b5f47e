//! Refused packets that a higher limit or more buckets would have let in.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;
use serde::Serialize;

use crate::{
    engine::refused_flows::FlowRange,
    observe::{counts::totals::TotalsByNetns, observer::snapshot::Snapshot},
};

/// What refused packets lacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Need {
    /// An entry: the table was full.
    #[serde(rename = "table_full")]
    Room,
    /// A shorter hash chain.
    #[serde(rename = "chain_too_long")]
    Buckets,
}

/// Packets refused since the start, by network namespace, for want of what a fix
/// can give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// For a full table.
    pub room: BTreeMap<u32, u64>,
    /// For a long hash chain.
    pub chains: BTreeMap<u32, u64>,
    /// Distinct flows that the limit in force has refused lately, of all that was
    /// drained; none before the first drain.
    pub flows: Option<BTreeMap<u32, FlowRange>>,
}

/// What was refused in a network namespace for want of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedIn {
    /// Inode of the namespace; 0 is an unknown one.
    pub netns: u32,
    /// Packets.
    pub packets: u64,
    /// The flows that they are of.
    pub flows: FlowRange,
}

impl Refusals {
    /// Those of all that was drained, with their `flows`; where programs see only some reasons, the
    /// others as far as the last check of the kernel's counters has shown them, of
    /// namespace 0.
    pub fn drained(snapshot: &Snapshot, flows: &BTreeMap<u32, FlowRange>) -> Self {
        let mut refusals = Self {
            flows: Some(flows.clone()),
            ..Self::of(&snapshot.totals)
        };
        if snapshot.backend.can_rest() {
            return refusals;
        }
        for (&reason, &packets) in &snapshot.verdict.from_counters {
            refusals.add(0, reason, packets);
        }
        refusals
    }

    /// Those that the programs have counted.
    pub fn of(totals: &TotalsByNetns) -> Self {
        let mut refusals = Self::default();
        for (&netns, totals) in totals {
            for reason in Reason::ALL {
                refusals.add(netns, reason, totals.of(reason));
            }
        }
        refusals
    }

    fn add(&mut self, netns: u32, reason: Reason, packets: u64) {
        let refused = match reason {
            Reason::TableFull => &mut self.room,
            Reason::ChainTooLong => &mut self.chains,
            // Neither a higher limit nor more buckets would have let these packets in.
            Reason::NoMemory
            | Reason::Clash
            | Reason::NatExhausted
            | Reason::Dying
            | Reason::StaleExtension
            | Reason::StaleExtensionLate
            | Reason::AlreadyConfirmed
            // No packet was lost.
            | Reason::Evicted
            | Reason::ClashResolved
            | Reason::NonPacket
            | Reason::NonPacketChain
            // Nobody knows whether a packet was refused.
            | Reason::RuleOrRefused => return,
        };
        *refused.entry(netns).or_default() += packets;
    }

    const fn for_want(&self, need: Need) -> &BTreeMap<u32, u64> {
        match need {
            Need::Room => &self.room,
            Need::Buckets => &self.chains,
        }
    }

    /// Those that `earlier` does not have.
    pub(crate) fn since(&self, earlier: &Self, need: Need) -> Vec<RefusedIn> {
        let more = self.for_want(need).iter().map(|(&netns, &packets)| {
            let before = earlier.for_want(need).get(&netns).copied().unwrap_or(0);
            let packets = packets.saturating_sub(before);
            RefusedIn {
                netns,
                packets,
                flows: self.flows_of(need, netns, packets),
            }
        });
        more.filter(|refused| refused.packets > 0).collect()
    }

    /// The flows of so many packets.
    fn flows_of(&self, need: Need, netns: u32, packets: u64) -> FlowRange {
        let flows = self.flows.as_ref().filter(|_| need == Need::Room);
        let known = flows.and_then(|flows| flows.get(&netns));
        known.map_or(FlowRange::of_packets(packets), |known| FlowRange {
            at_least: known.at_least.clamp(1, packets.max(1)),
            at_most: known.at_most.clamp(1, packets.max(1)),
        })
    }

    /// Whether there are more of any kind in any namespace.
    pub(crate) fn exceed(&self, earlier: &Self) -> bool {
        [Need::Room, Need::Buckets]
            .into_iter()
            .any(|need| !self.since(earlier, need).is_empty())
    }

    /// Takes over what is more.
    pub(crate) fn raise_to(&mut self, later: &Self) {
        let both = [
            (&mut self.room, &later.room),
            (&mut self.chains, &later.chains),
        ];
        for (known, later) in both {
            for (&netns, &packets) in later {
                let known = known.entry(netns).or_default();
                *known = packets.max(*known);
            }
        }
        if later.flows.is_some() {
            self.flows.clone_from(&later.flows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(packets: &[(u32, u64)]) -> Refusals {
        Refusals {
            room: packets.iter().copied().collect(),
            ..Refusals::default()
        }
    }

    fn refused(netns: u32, packets: u64, at_least: u64, at_most: u64) -> RefusedIn {
        RefusedIn {
            netns,
            packets,
            flows: FlowRange { at_least, at_most },
        }
    }

    #[test]
    fn refusals_are_told_from_those_before() {
        let mut looked = room(&[(7, 10)]);
        let later = room(&[(7, 10), (8, 2)]);
        assert_eq!(later.since(&looked, Need::Room), [refused(8, 2, 1, 2)]);
        assert_eq!(later.since(&looked, Need::Buckets), []);
        assert!(later.exceed(&looked) && !looked.exceed(&later));
        looked.raise_to(&later);
        assert_eq!(looked, later);
        // Drained counts can be older than those read in between.
        looked.raise_to(&room(&[(7, 9)]));
        assert_eq!(looked, later);
    }

    #[test]
    fn flows_are_as_last_counted() {
        let flows = |at_least, at_most| Refusals {
            flows: Some([(7, FlowRange { at_least, at_most })].into()),
            ..room(&[(7, 1000)])
        };
        let mut known = flows(20, 30);
        let nothing = Refusals::default();
        assert_eq!(
            known.since(&nothing, Need::Room),
            [refused(7, 1000, 20, 30)]
        );
        // Another limit is in force.
        known.raise_to(&flows(3, 3));
        assert_eq!(known.since(&nothing, Need::Room), [refused(7, 1000, 3, 3)]);
        // Read ahead of the next drain, without flows.
        known.raise_to(&room(&[(7, 1100)]));
        assert_eq!(known.since(&nothing, Need::Room), [refused(7, 1100, 3, 3)]);
        let chains = Refusals {
            chains: [(7, 5)].into(),
            ..flows(20, 30)
        };
        assert_eq!(chains.since(&nothing, Need::Buckets), [refused(7, 5, 1, 5)]);
    }
}
