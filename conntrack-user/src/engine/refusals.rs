//! Refused packets that a higher limit or more buckets would have let in.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;
use serde::Serialize;

use crate::observe::{counts::totals::TotalsByNetns, observer::snapshot::Snapshot};

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
}

impl Refusals {
    /// Those of all that was drained; where programs see only some reasons, the
    /// others as far as the last check of the kernel's counters has shown them, of
    /// namespace 0.
    pub fn drained(snapshot: &Snapshot) -> Self {
        let mut refusals = Self::of(&snapshot.totals);
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
    pub(crate) fn since(&self, earlier: &Self, need: Need) -> Vec<(u32, u64)> {
        let more = self.for_want(need).iter().map(|(&netns, &packets)| {
            let before = earlier.for_want(need).get(&netns).copied().unwrap_or(0);
            (netns, packets.saturating_sub(before))
        });
        more.filter(|&(_, packets)| packets > 0).collect()
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(packets: &[(u32, u64)]) -> Refusals {
        Refusals {
            room: packets.iter().copied().collect(),
            chains: BTreeMap::new(),
        }
    }

    #[test]
    fn refusals_are_told_from_those_before() {
        let mut looked = room(&[(7, 10)]);
        let later = room(&[(7, 10), (8, 2)]);
        assert_eq!(later.since(&looked, Need::Room), [(8, 2)]);
        assert_eq!(later.since(&looked, Need::Buckets), []);
        assert!(later.exceed(&looked) && !looked.exceed(&later));
        looked.raise_to(&later);
        assert_eq!(looked, later);
        // Drained counts can be older than those read in between.
        looked.raise_to(&room(&[(7, 9)]));
        assert_eq!(looked, later);
    }
}
