//! How many entries a host needs: what its tables held at the most, and what the
//! flows that were refused would have held.

use crate::{
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

/// New flows that were refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefusedFlows {
    /// Protocol number; none if it is not known.
    pub protocol: Option<u8>,
    /// Flows in each second.
    pub per_second: f64,
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

    /// The most entries in a namespace. A table that has dropped packets had at
    /// least as many as the limit.
    pub fn peak(&self) -> Option<u64> {
        self.namespaces
            .iter()
            .filter_map(|namespace| {
                let entries = namespace.entries?;
                let was_full = namespace.dropped_before > 0 || namespace.has_been_full();
                Some(match namespace.max {
                    Some(max) if was_full && max > 0 => entries.max(max),
                    _ => entries,
                })
            })
            .max()
    }

    /// The same without those that no limit should make room for.
    pub fn honest(&self) -> Option<u64> {
        let peak = self.peak()?;
        let filling = self.incident.filling;
        if !self.incident.fills_any_limit() || filling.of == 0 {
            return Some(peak);
        }
        let share = u128::from(peak) * u128::from(filling.entries) / u128::from(filling.of);
        Some(peak - u64::try_from(share).unwrap_or(peak).min(peak))
    }

    /// Entries that the refused flows would have been, had they been let in: each
    /// stays as long as its timeout (Little's law).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a number of entries, far below 2⁵²"
    )]
    pub fn held_back(&self, timeouts: &Timeouts) -> u64 {
        self.refused
            .iter()
            .map(|flows| {
                (flows.per_second * lifetime(flows.protocol, timeouts) as f64).ceil() as u64
            })
            .sum()
    }
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

    #[test]
    fn a_flood_is_no_demand() {
        let census = Census {
            entries: 1000,
            unreplied: 900,
            ..Census::default()
        };
        let full = || table(1000, 5);
        assert_eq!(demand(full(), Some(&census)).honest(), Some(100));
        assert_eq!(demand(full(), None).honest(), Some(1000));
    }

    #[test]
    fn refused_flows_would_have_stayed() {
        let mut demand = demand(table(10, 0), None);
        demand.refused = vec![
            RefusedFlows {
                protocol: Some(6),
                per_second: 100.0,
            },
            RefusedFlows {
                protocol: Some(17),
                per_second: 0.5,
            },
        ];
        let timeouts = Timeouts::from([("udp_timeout_stream", 180)]);
        assert_eq!(demand.held_back(&timeouts), 12_000 + 90);
    }
}
