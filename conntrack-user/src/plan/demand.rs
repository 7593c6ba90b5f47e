//! How many entries a host needs: what its tables held at the most, and what the
//! flows that were refused would have held. A flow that tries again wants no more room:
//! flows count, and packets only where nothing else is known.

use serde::Serialize;

use crate::{
    engine::refused_flows::FlowRange,
    facts::numbers::Timeouts,
    incident::{Census, Evidence, Incident, judge_worst},
};

/// What is seen of the load, and what follows from it.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Each network namespace.
    pub namespaces: Vec<Evidence>,
    /// New flows that were refused.
    pub refused: Vec<RefusedFlows>,
    /// Why packets are refused.
    pub incident: Incident,
}

/// New flows that were refused in a network namespace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefusedFlows {
    /// Inode of the namespace.
    pub netns: Option<u32>,
    /// How many.
    pub many: HowMany,
}

/// How many flows were refused, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HowMany {
    /// The limit in force has refused so many distinct ones.
    Flows(FlowRange),
    /// Only packets were counted, of which several can be of one flow.
    Packets {
        /// Protocol number; none if it is not known.
        protocol: Option<u8>,
        /// Packets in each second.
        per_second: f64,
    },
}

/// The entries that a network namespace wants, of those that a limit should make room
/// for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// The most that it had.
    pub entries: u64,
    /// And those that it would have had, had it refused nothing.
    pub refused: HeldBack,
}

/// Entries that refused flows would have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeldBack {
    /// No fewer than this.
    pub at_least: u64,
    /// No more than this.
    pub at_most: u64,
    /// What was counted.
    pub counted: Counted,
}

/// What was counted of refused flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// The flows.
    #[default]
    Flows,
    /// Packets, of which several can be of one flow.
    Packets,
}

impl HeldBack {
    /// As many as a limit should have room for. A flow that was not told from another
    /// one is refused again, and seen then, if it still finds no room; packets alone tell
    /// no more than the upper bound.
    pub const fn estimate(&self) -> u64 {
        match self.counted {
            Counted::Flows => self.at_least,
            Counted::Packets => self.at_most,
        }
    }
}

impl Demand {
    /// That of these namespaces; with the census of the worst of them, if there is
    /// one.
    pub fn new(
        namespaces: Vec<Evidence>,
        refused: Vec<RefusedFlows>,
        census: Option<&Census>,
    ) -> Self {
        let incident = judge_worst(&namespaces, census);
        Self {
            namespaces,
            refused,
            incident,
        }
    }

    /// The most entries in a namespace.
    pub fn peak(&self) -> Option<u64> {
        self.namespaces.iter().filter_map(most_entries).max()
    }

    /// What the namespace wants that wants most: the limit is one number, compared with
    /// the entries of each.
    pub fn wanted(&self, timeouts: &Timeouts) -> Option<Wanted> {
        let each = self.namespaces.iter().filter_map(|namespace| {
            let entries = most_entries(namespace)?;
            let refused = self.held_back(namespace.netns.inode, timeouts);
            Some(self.honest(Wanted { entries, refused }))
        });
        each.max_by_key(|wanted| (wanted.entries + wanted.refused.estimate(), wanted.entries))
    }

    /// The same without those that no limit should make room for.
    fn honest(&self, wanted: Wanted) -> Wanted {
        let filling = self.incident.filling;
        if !self.incident.fills_any_limit() || filling.of == 0 {
            return wanted;
        }
        let honest = |number: u64| {
            let share = u128::from(number) * u128::from(filling.entries) / u128::from(filling.of);
            number - u64::try_from(share).unwrap_or(number).min(number)
        };
        Wanted {
            entries: honest(wanted.entries),
            refused: HeldBack {
                at_least: honest(wanted.refused.at_least),
                at_most: honest(wanted.refused.at_most),
                ..wanted.refused
            },
        }
    }

    /// Entries that the flows refused in a namespace would have been, had they been let
    /// in.
    fn held_back(&self, netns: Option<u32>, timeouts: &Timeouts) -> HeldBack {
        let here = self.refused.iter().filter(|refused| refused.netns == netns);
        here.fold(HeldBack::default(), |sum, refused| {
            let more = refused.many.held_back(timeouts);
            HeldBack {
                at_least: sum.at_least + more.at_least,
                at_most: sum.at_most + more.at_most,
                counted: more.counted,
            }
        })
    }
}

impl HowMany {
    /// Packets stand for as many flows at the most, each of which stays as long as its
    /// timeout (Little's law).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a number of entries, far below 2⁵²"
    )]
    fn held_back(self, timeouts: &Timeouts) -> HeldBack {
        match self {
            Self::Flows(FlowRange { at_least, at_most }) => HeldBack {
                at_least,
                at_most,
                counted: Counted::Flows,
            },
            Self::Packets {
                protocol,
                per_second,
            } => {
                let at_most = (per_second * lifetime(protocol, timeouts) as f64).ceil() as u64;
                HeldBack {
                    at_least: at_most.min(1),
                    at_most,
                    counted: Counted::Packets,
                }
            }
        }
    }
}

/// The most entries that a namespace is known to have had. A table that has dropped
/// packets had at least as many as the limit.
fn most_entries(namespace: &Evidence) -> Option<u64> {
    let entries = namespace.entries?;
    let was_full = namespace.dropped_before > 0 || namespace.has_been_full();
    Some(match namespace.max {
        Some(max) if was_full && max > 0 => entries.max(max),
        _ => entries,
    })
}

/// Seconds that the entry of a short flow stays.
fn lifetime(protocol: Option<u8>, timeouts: &Timeouts) -> u64 {
    let of = |name, usual| timeouts.get(name).copied().unwrap_or(usual);
    match protocol {
        Some(6) | None => of("tcp_timeout_time_wait", 120),
        Some(17) => of("udp_timeout_stream", 120),
        Some(1) => of("icmp_timeout", 30),
        Some(58) => of("icmpv6_timeout", 30),
        Some(_) => of("generic_timeout", 600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{incident::Netns, kernel::counters::Totals};

    fn table(entries: u64, drop: u64) -> Evidence {
        Evidence {
            netns: Netns {
                is_host: true,
                ..Netns::default()
            },
            entries: Some(entries),
            max: Some(1000),
            growth: Some(Totals {
                drop: Some(drop),
                ..Totals::default()
            }),
            ..Evidence::default()
        }
    }

    fn demand(evidence: Evidence, census: Option<&Census>) -> Demand {
        Demand::new(vec![evidence], Vec::new(), census)
    }

    #[test]
    fn a_table_that_was_full_had_as_many_entries_as_the_limit() {
        let was_full = Evidence {
            dropped_before: 7,
            ..table(10, 0)
        };
        assert_eq!(demand(was_full, None).peak(), Some(1000));
        assert_eq!(demand(table(960, 5), None).peak(), Some(1000));
        assert_eq!(demand(table(10, 0), None).peak(), Some(10));
    }

    fn wanted(demand: &Demand) -> (u64, u64, u64) {
        let Wanted { entries, refused } = demand.wanted(&Timeouts::new()).unwrap();
        (entries, refused.at_least, refused.at_most)
    }

    const fn flows(at_least: u64, at_most: u64) -> HowMany {
        HowMany::Flows(FlowRange { at_least, at_most })
    }

    const fn in_host(many: HowMany) -> RefusedFlows {
        RefusedFlows { netns: None, many }
    }

    #[test]
    fn a_flood_is_no_demand() {
        let census = Census {
            entries: 1000,
            unreplied: 900,
            ..Census::default()
        };
        let full = |census| Demand {
            refused: vec![in_host(flows(5000, 6000))],
            ..demand(table(1000, 5), census)
        };
        // Neither its entries nor its flows that were refused.
        assert_eq!(wanted(&full(Some(&census))), (100, 500, 600));
        assert_eq!(wanted(&full(None)), (1000, 5000, 6000));
    }

    #[test]
    fn flows_are_demand_whatever_their_packets() {
        let demand = Demand {
            refused: vec![in_host(flows(20, 20))],
            ..demand(table(1000, 24_000), None)
        };
        assert_eq!(wanted(&demand), (1000, 20, 20));
        let held_back = demand.wanted(&Timeouts::new()).unwrap().refused;
        assert_eq!(
            (held_back.estimate(), held_back.counted),
            (20, Counted::Flows)
        );
    }

    #[test]
    fn each_namespace_has_the_limit_for_itself() {
        let inside = |inode, entries| Evidence {
            netns: Netns {
                inode: Some(inode),
                ..Netns::default()
            },
            ..table(entries, 5)
        };
        let refused = |inode, count| RefusedFlows {
            netns: Some(inode),
            many: flows(count, count),
        };
        let demand = Demand::new(
            vec![inside(7, 1000), inside(8, 1000), inside(9, 10)],
            vec![refused(7, 30), refused(8, 40)],
            None,
        );
        assert_eq!(wanted(&demand), (1000, 40, 40), "no sum");
    }

    #[test]
    fn packets_are_flows_at_the_most() {
        let packets = |protocol, per_second| {
            in_host(HowMany::Packets {
                protocol,
                per_second,
            })
        };
        let mut demand = demand(table(10, 0), None);
        demand.refused = vec![packets(Some(6), 100.0), packets(Some(17), 0.5)];
        let timeouts = Timeouts::from([("udp_timeout_stream", 180)]);
        let held_back = demand.wanted(&timeouts).unwrap().refused;
        assert_eq!(
            (held_back.at_most, held_back.counted),
            (12_000 + 90, Counted::Packets)
        );
        assert_eq!(held_back.estimate(), held_back.at_most);
    }
}
