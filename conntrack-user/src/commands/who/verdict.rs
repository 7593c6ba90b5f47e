//! What the sums say: honest load, a leak, a flood. A hint, with the evidence
//! that it stands on.

use serde::Serialize;

use crate::table::{
    aggregate::{Aggregate, IDLE, Service},
    entry::Address,
    hitters::Count,
};

/// Tables with fewer entries say nothing.
const FEW: u64 = 100;

/// Sources with fewer entries each than this, on average, are not clients that
/// wait for an answer.
const ENTRIES_OF_SPOOFED: u64 = 4;

/// The sums that a verdict is reached by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Whether the entries are only some of the table's, by a filter.
    pub chosen: bool,
    /// Entries.
    pub entries: u64,
    /// Of these, established TCP connections idle for [`IDLE`] or longer.
    pub idle: u64,
    /// Of the entries, those that saw no reply.
    pub unreplied: u64,
    /// How many different sources these have.
    pub unreplied_sources: u64,
    /// The source with most entries.
    pub source: Option<(Address, Count)>,
    /// The source with most idle connections.
    pub idle_source: Option<(Address, Count)>,
    /// The source with most entries without reply.
    pub unreplied_source: Option<(Address, Count)>,
    /// The service with most entries without reply.
    pub unreplied_service: Option<(Service, Count)>,
}

impl Facts {
    /// Those of a whole table.
    pub fn of(sums: &Aggregate) -> Self {
        Self {
            chosen: false,
            entries: sums.entries,
            idle: sums.idle_established,
            unreplied: sums.progress.unreplied,
            unreplied_sources: sums.sources.distinct_unreplied(),
            source: sums.sources.most(|count| count.entries),
            idle_source: sums.sources.most(|count| count.idle),
            unreplied_source: sums.sources.most(|count| count.unreplied),
            unreplied_service: sums.services.most(|count| count.unreplied),
        }
    }

    /// What the entries are called in the evidence.
    const fn all(&self) -> &'static str {
        if self.chosen {
            "the entries asked for"
        } else {
            "all entries"
        }
    }
}

/// What fills the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Hardly anything.
    TooFew,
    /// Many clients and services, answered: the limit is too low, if anything.
    HonestLoad,
    /// Connections of one client that nobody uses and nobody closes.
    Leak,
    /// Packets without an answer from ever other sources: these are forged.
    SpoofedFlood,
    /// Packets without an answer from few sources: a scan, a flood, or a
    /// service that is down.
    Flood,
}

/// Who is to be looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// A client.
    Source(Address),
    /// What a flood is for; its sources say nothing.
    Service(Service),
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What fills the table.
    pub kind: Kind,
    /// Who is to be looked at first, if it is one.
    pub culprit: Option<Culprit>,
    /// Entries of the culprit, or without one all.
    pub entries: u64,
    /// Why, each as a sentence.
    pub evidence: Vec<String>,
}

/// Reaches a verdict: the stronger of the two patterns, if there is one.
pub fn judge(facts: &Facts) -> Verdict {
    if facts.entries < FEW {
        return Verdict {
            kind: Kind::TooFew,
            culprit: None,
            entries: facts.entries,
            evidence: vec![format!("fewer than {FEW} entries say nothing")],
        };
    }
    let mut found = [leak(facts), flood(facts)];
    found.sort_by_key(|verdict| {
        verdict
            .as_ref()
            .map(|verdict| std::cmp::Reverse(verdict.entries))
    });
    let strongest = found.into_iter().flatten().next();
    strongest.unwrap_or_else(|| honest(facts))
}

/// A leak: a quarter of the entries or more is idle, most of it one client's.
fn leak(facts: &Facts) -> Option<Verdict> {
    let (source, count) = facts.idle_source?;
    let idle = u64::from(count.idle);
    if facts.idle * 4 < facts.entries || idle * 2 < facts.idle {
        return None;
    }
    Some(Verdict {
        kind: Kind::Leak,
        culprit: Some(Culprit::Source(source)),
        entries: u64::from(count.entries),
        evidence: vec![
            format!(
                "{} of {} are established TCP connections without a packet for {} or longer",
                percent(facts.idle, facts.entries),
                facts.all(),
                seconds(IDLE)
            ),
            format!("{} of these are of {source}", percent(idle, facts.idle)),
            format!(
                "{} of the entries of {source} are such",
                percent(idle, u64::from(count.entries))
            ),
        ],
    })
}

/// A flood: half of the entries or more was never answered.
fn flood(facts: &Facts) -> Option<Verdict> {
    if facts.unreplied * 2 < facts.entries {
        return None;
    }
    let unanswered = format!(
        "{} of {} never saw a reply",
        percent(facts.unreplied, facts.entries),
        facts.all()
    );
    let spoofed = facts.unreplied_sources >= FEW
        && facts.unreplied_sources * ENTRIES_OF_SPOOFED >= facts.unreplied;
    if spoofed {
        let (service, count) = facts.unreplied_service?;
        let at_service = u64::from(count.unreplied);
        let concentrated = at_service * 2 >= facts.unreplied;
        return Some(Verdict {
            kind: Kind::SpoofedFlood,
            culprit: concentrated.then_some(Culprit::Service(service)),
            entries: if concentrated {
                at_service
            } else {
                facts.unreplied
            },
            evidence: vec![
                unanswered,
                format!(
                    "they have {} different sources, so that hardly one of these had two: \
                     forged, or a scan from everywhere",
                    facts.unreplied_sources
                ),
                format!(
                    "{} of them are for one service at {}",
                    percent(at_service, facts.unreplied),
                    service.address
                ),
            ],
        });
    }
    let (source, count) = facts.unreplied_source?;
    let of_source = u64::from(count.unreplied);
    let concentrated = of_source * 2 >= facts.unreplied;
    Some(Verdict {
        kind: Kind::Flood,
        culprit: concentrated.then_some(Culprit::Source(source)),
        entries: if concentrated {
            of_source
        } else {
            facts.unreplied
        },
        evidence: vec![
            unanswered,
            format!("they have {} different sources", facts.unreplied_sources),
            format!(
                "{} of them are of {source}",
                percent(of_source, facts.unreplied)
            ),
        ],
    })
}

fn honest(facts: &Facts) -> Verdict {
    let mut evidence = vec![
        format!(
            "{} of {} saw a reply",
            percent(facts.entries - facts.unreplied, facts.entries),
            facts.all()
        ),
        format!(
            "{} are established TCP connections without a packet for {} or longer",
            percent(facts.idle, facts.entries),
            seconds(IDLE)
        ),
    ];
    evidence.extend(facts.source.map(|(source, count)| {
        format!(
            "the busiest source, {source}, has {} of them",
            percent(u64::from(count.entries), facts.entries)
        )
    }));
    Verdict {
        kind: Kind::HonestLoad,
        culprit: None,
        entries: facts.entries,
        evidence,
    }
}

/// `37 %`, rounded down; less than one percent, but something, is `under 1 %`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0 %".to_owned();
    }
    if part * 100 < whole {
        return "under 1 %".to_owned();
    }
    format!("{} %", part * 100 / whole)
}

/// `5m`, `2h 4m`
pub(crate) fn seconds(seconds: u32) -> String {
    humantime::format_duration(std::time::Duration::from_secs(u64::from(seconds))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Address = Address::v4([10, 0, 0, 7]);
    const SERVICE: Service = Service {
        address: Address::v4([192, 0, 2, 1]),
        protocol: 17,
        port: 53,
    };

    fn count(entries: u32, unreplied: u32, idle: u32) -> Count {
        Count {
            entries,
            evictable: unreplied,
            unreplied,
            idle,
        }
    }

    /// 10,000 entries of many clients, the busiest with a twentieth.
    fn honest_table() -> Facts {
        Facts {
            chosen: false,
            entries: 10_000,
            idle: 600,
            unreplied: 900,
            unreplied_sources: 300,
            source: Some((CLIENT, count(500, 10, 30))),
            idle_source: Some((CLIENT, count(500, 10, 30))),
            unreplied_source: Some((CLIENT, count(10, 10, 0))),
            unreplied_service: Some((SERVICE, count(800, 100, 0))),
        }
    }

    #[test]
    fn many_answered_clients_are_honest_load() {
        let verdict = judge(&honest_table());
        assert_eq!((verdict.kind, verdict.culprit), (Kind::HonestLoad, None));
        assert!(verdict.evidence[0].starts_with("91 %"), "{verdict:?}");
    }

    #[test]
    fn idle_connections_of_one_client_are_a_leak() {
        let leaking = Some((CLIENT, count(6_000, 0, 5_900)));
        let facts = Facts {
            idle: 6_400,
            source: leaking,
            idle_source: leaking,
            ..honest_table()
        };
        let verdict = judge(&facts);
        assert_eq!(verdict.kind, Kind::Leak);
        assert_eq!(verdict.culprit, Some(Culprit::Source(CLIENT)));
        assert_eq!(verdict.entries, 6_000);
        // The same, spread over many clients, is how they work.
        let spread = Facts {
            idle_source: Some((CLIENT, count(300, 0, 290))),
            ..facts
        };
        assert_eq!(judge(&spread).kind, Kind::HonestLoad);
    }

    #[test]
    fn unanswered_packets_from_ever_other_sources_are_a_spoofed_flood() {
        let facts = Facts {
            unreplied: 9_000,
            unreplied_sources: 8_700,
            unreplied_service: Some((SERVICE, count(8_900, 8_850, 0))),
            ..honest_table()
        };
        let verdict = judge(&facts);
        assert_eq!(verdict.kind, Kind::SpoofedFlood);
        assert_eq!(verdict.culprit, Some(Culprit::Service(SERVICE)));
        assert_eq!(verdict.entries, 8_850);
    }

    #[test]
    fn unanswered_packets_of_one_source_name_it() {
        let facts = Facts {
            unreplied: 9_000,
            unreplied_sources: 40,
            unreplied_source: Some((CLIENT, count(8_000, 8_000, 0))),
            ..honest_table()
        };
        let verdict = judge(&facts);
        assert_eq!(verdict.kind, Kind::Flood);
        assert_eq!(verdict.culprit, Some(Culprit::Source(CLIENT)));
    }

    #[test]
    fn an_almost_empty_table_says_nothing() {
        let facts = Facts {
            entries: 99,
            unreplied: 99,
            ..honest_table()
        };
        assert_eq!(judge(&facts).kind, Kind::TooFew);
    }

    #[test]
    fn a_part_of_the_table_is_not_called_all_of_it() {
        let leaking = Some((CLIENT, count(6_000, 0, 5_900)));
        let leak = Facts {
            idle: 6_400,
            idle_source: leaking,
            ..honest_table()
        };
        let flood = Facts {
            unreplied: 9_000,
            ..honest_table()
        };
        for facts in [honest_table(), leak, flood] {
            let first = |chosen| judge(&Facts { chosen, ..facts }).evidence[0].clone();
            assert!(first(false).contains("% of all entries "), "{facts:?}");
            assert!(
                first(true).contains("% of the entries asked for "),
                "{facts:?}"
            );
        }
    }

    #[test]
    fn shares_do_not_hide_what_is_there() {
        let shares = [(0, 5), (1, 1000), (1, 100), (999, 1000), (5, 5)];
        assert_eq!(
            shares.map(|(part, whole)| percent(part, whole)),
            ["0 %", "under 1 %", "1 %", "99 %", "100 %"]
        );
    }
}
