//! What is known of a network namespace when it is judged: its limit and use,
//! what its counters have done, which packets were refused.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;

use crate::{
    facts::Facts,
    kernel::{counters::Totals, limits::is_full, netns::called::Netns},
    observe::usage::NamespaceUse,
};

/// What is known of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Which one it is.
    pub netns: Netns,
    /// Entries in it; the most there were, if somebody has watched.
    pub entries: Option<u64>,
    /// The limit that they are compared with; 0 is none.
    pub max: Option<u64>,
    /// How the counters moved while somebody looked; none after a single look.
    pub growth: Option<Totals>,
    /// Packets refused, by reason, where programs have seen each.
    pub refused: BTreeMap<Reason, u64>,
    /// Packets dropped since boot, if the limit is still what the kernel chose by
    /// itself. After it has been raised once they say nothing about it.
    pub dropped_before: u64,
    /// Whether there are no counters at all, as in a copied tree without them: then
    /// nothing tells whether packets are refused.
    pub lacks_counters: bool,
}

/// Packets refused while somebody looked, by what they lacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// An entry: the table was full.
    pub(super) room: u64,
    /// Memory for an entry.
    pub(super) memory: u64,
    /// A shorter hash chain.
    pub(super) chains: u64,
    /// A tuple that nobody else has.
    pub(super) clash: u64,
    /// A free port for source NAT.
    pub(super) nat: u64,
    /// Nobody knows what.
    pub(super) unknown: u64,
}

impl Refused {
    pub(super) const fn total(self) -> u64 {
        self.room + self.memory + self.chains + self.clash + self.nat + self.unknown
    }
}

impl Evidence {
    /// Of namespaces that were looked at twice. `default` is the limit that the
    /// kernel chooses by itself on this host.
    pub fn of_all(namespaces: &[NamespaceUse], default: Option<u64>) -> Vec<Self> {
        let each = namespaces.iter();
        each.map(|namespace| Self {
            netns: namespace.called.clone(),
            entries: namespace.entries,
            max: namespace.max,
            growth: namespace.growth,
            refused: BTreeMap::new(),
            dropped_before: dropped_before(namespace.counters.as_ref(), namespace.max, default),
            lacks_counters: false,
        })
        .collect()
    }

    /// Of a copied tree: the one namespace whose numbers it has, by one look.
    pub fn of_tree(facts: &Facts) -> Self {
        let numbers = &facts.numbers;
        let default = facts.kernel.default_table().map(|table| table.max);
        Self {
            netns: Netns::of_tree(),
            entries: numbers.limits.entries,
            max: numbers.limits.max,
            growth: None,
            refused: BTreeMap::new(),
            dropped_before: dropped_before(numbers.counters.as_ref(), numbers.limits.max, default),
            lacks_counters: numbers.counters.is_none(),
        }
    }

    /// Whether the table is full, or as good as.
    pub fn is_full(&self) -> bool {
        let full = |entries| self.max.is_some_and(|max| is_full(entries, max));
        self.entries.is_some_and(full)
    }

    /// Whether it is full, or has refused packets while somebody looked: then it
    /// matters what fills it.
    pub fn matters(&self) -> bool {
        self.is_full() || self.refused_now() > 0
    }

    /// Packets refused while somebody looked, for whatever reason.
    pub fn refused_now(&self) -> u64 {
        self.refused_by_lack().total()
    }

    /// The same with packets that no setting would have let in.
    pub fn refused_in_all(&self) -> u64 {
        let by_reason: u64 = self.refused.values().sum();
        by_reason.max(self.refused_now())
    }

    /// Whether packets were refused for want of room while somebody looked.
    pub fn has_been_full(&self) -> bool {
        self.refused_by_lack().room > 0
    }

    fn grown(&self, counter: impl Fn(&Totals) -> Option<u64>) -> u64 {
        self.growth.as_ref().and_then(counter).unwrap_or(0)
    }

    /// What refused packets lacked: by what programs have seen, or else by the
    /// counters, which tell it only in part (`docs/counting.md`).
    pub(super) fn refused_by_lack(&self) -> Refused {
        if self.refused.is_empty() {
            self.refused_by_counters()
        } else {
            self.refused_by_reasons()
        }
    }

    fn refused_by_reasons(&self) -> Refused {
        let mut refused = Refused::default();
        for (&reason, &packets) in &self.refused {
            match reason {
                Reason::TableFull => refused.room += packets,
                Reason::NoMemory => refused.memory += packets,
                Reason::ChainTooLong => refused.chains += packets,
                Reason::Clash => refused.clash += packets,
                Reason::NatExhausted => refused.nat += packets,
                // Their entry died or went stale, or a copy of the packet was faster:
                // no setting lets such a packet in.
                Reason::Dying
                | Reason::StaleExtension
                | Reason::StaleExtensionLate
                | Reason::AlreadyConfirmed
                // No packet was lost.
                | Reason::Evicted
                | Reason::ClashResolved
                | Reason::NonPacket
                | Reason::NonPacketChain
                // Nobody knows whether it was.
                | Reason::RuleOrRefused => {}
            }
        }
        refused
    }

    /// A full table explains what `drop` counts. Without one a lost race does, as
    /// it moves `insert_failed` with it; where that has not moved, nothing does.
    fn refused_by_counters(&self) -> Refused {
        let drop = self.grown(|totals| totals.drop);
        let failed = self.grown(|totals| totals.insert_failed);
        let chains = self.grown(|totals| totals.chaintoolong);
        let refused = Refused {
            chains,
            ..Refused::default()
        };
        if self.is_full() {
            Refused {
                room: drop,
                ..refused
            }
        } else if failed.saturating_sub(chains) >= drop {
            Refused {
                clash: drop,
                ..refused
            }
        } else {
            Refused {
                unknown: drop,
                ..refused
            }
        }
    }
}

/// Packets dropped since boot under a limit that nobody has changed.
pub fn dropped_before(counters: Option<&Totals>, max: Option<u64>, default: Option<u64>) -> u64 {
    let untouched = max.is_some() && max == default;
    let dropped = counters.and_then(|totals| totals.drop);
    dropped.filter(|_| untouched).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: u64, drop: u64, insert_failed: u64, chaintoolong: u64) -> Refused {
        let evidence = Evidence {
            entries: Some(entries),
            max: Some(1000),
            growth: Some(Totals {
                drop: Some(drop),
                insert_failed: Some(insert_failed),
                chaintoolong: Some(chaintoolong),
                ..Totals::default()
            }),
            ..Evidence::default()
        };
        evidence.refused_by_lack()
    }

    #[test]
    fn counters_tell_what_packets_lacked_as_far_as_they_can() {
        let none = Refused::default();
        assert_eq!(of(10, 0, 0, 0), none);
        assert_eq!(of(1000, 7, 0, 0), Refused { room: 7, ..none });
        assert_eq!(of(10, 7, 7, 0), Refused { clash: 7, ..none });
        assert_eq!(of(10, 7, 3, 0), Refused { unknown: 7, ..none });
        assert_eq!(of(10, 0, 9, 9), Refused { chains: 9, ..none });
        // Chains alone do not make a drop a lost race.
        let both = Refused {
            chains: 9,
            unknown: 7,
            ..none
        };
        assert_eq!(of(10, 7, 9, 9), both);
    }

    #[test]
    fn what_programs_have_seen_counts_more_than_counters() {
        let mut evidence = Evidence {
            entries: Some(1000),
            max: Some(1000),
            growth: Some(Totals {
                drop: Some(5),
                ..Totals::default()
            }),
            ..Evidence::default()
        };
        assert_eq!(evidence.refused_by_lack().room, 5);
        evidence.refused = BTreeMap::from([(Reason::NatExhausted, 5)]);
        let nat = Refused {
            nat: 5,
            ..Refused::default()
        };
        assert_eq!(evidence.refused_by_lack(), nat);
    }
}
