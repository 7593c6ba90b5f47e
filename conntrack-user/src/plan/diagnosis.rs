//! Why packets are refused, from the evidence there is: whether a higher limit
//! helps, and what would help instead.

use serde::Serialize;

use crate::{
    facts::{Facts, numbers::Timeouts},
    kernel::counters::Totals,
};

/// What is seen of the load.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Each network namespace.
    pub namespaces: Vec<NamespaceLoad>,
    /// Packets dropped since boot, if the limit is still what the kernel chose by
    /// itself. After it has been raised once they say nothing about it.
    pub dropped_before: u64,
    /// New flows that were refused.
    pub refused: Vec<RefusedFlows>,
    /// Who is in the table; none if nobody has looked.
    pub occupants: Option<Occupants>,
}

/// A network namespace.
#[derive(Clone, Debug, Default)]
pub struct NamespaceLoad {
    /// Its name.
    pub name: String,
    /// Whether it is the host's own.
    pub is_host: bool,
    /// Entries in it; the most there were, if somebody has watched.
    pub entries: Option<u64>,
    /// The limit that they are compared with.
    pub max: Option<u64>,
    /// How the counters moved while somebody looked; none after a single look.
    pub growth: Option<Totals>,
}

/// New flows that were refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefusedFlows {
    /// Protocol number; none if it is not known.
    pub protocol: Option<u8>,
    /// Flows in each second.
    pub per_second: f64,
}

/// Who is in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Occupants {
    /// Entries that were looked at.
    pub entries: u64,
    /// Those that never had an answer.
    pub unreplied: u64,
    /// Established TCP connections on which nothing has moved for an hour.
    pub idle: u64,
    /// The source with the most idle or unreplied entries, and how many.
    pub source: Option<(String, u64)>,
}

/// Why packets are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing shows that any are.
    NoneSeen,
    /// More flows are alive than the limit allows.
    Undersized,
    /// Most entries are connections that nobody uses any more.
    Leak,
    /// Most entries are flows that nobody answers.
    Flood,
    /// Chains of the hash table are too long.
    FewBuckets,
    /// Packets lose a race for their tuple; the table is not full.
    Clash,
    /// One namespace is full, and not the host's own.
    NoisyNamespace,
}

/// A cause, with what shows it and what helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The cause.
    pub cause: Cause,
    /// What shows it, as a sentence.
    pub evidence: String,
    /// What helps, or helps more than a higher limit; each as a sentence.
    pub instead: Vec<String>,
}

/// A table is as good as full from here on, in per cent.
const FULL: u64 = 95;

impl NamespaceLoad {
    /// Whether its table is full, or as good as.
    pub fn is_full(&self) -> bool {
        match (self.entries, self.max) {
            (Some(entries), Some(max)) if max > 0 => {
                entries.saturating_mul(100) >= max.saturating_mul(FULL)
            }
            _ => false,
        }
    }

    fn grown(&self, counter: impl Fn(&Totals) -> Option<u64>) -> u64 {
        self.growth.as_ref().and_then(counter).unwrap_or(0)
    }
}

impl Load {
    /// Of a tree, or of the namespace of whoever asks: one look at the numbers.
    pub fn of(facts: &Facts) -> Self {
        let numbers = &facts.numbers;
        let namespace = NamespaceLoad {
            name: "host".to_owned(),
            is_host: true,
            entries: numbers.limits.entries,
            max: numbers.limits.max,
            growth: None,
        };
        let default = facts.kernel.default_table().map(|table| table.max);
        let untouched = numbers.limits.max.is_some() && numbers.limits.max == default;
        let dropped = numbers.counters.and_then(|totals| totals.drop);
        Self {
            namespaces: vec![namespace],
            dropped_before: dropped.filter(|_| untouched).unwrap_or(0),
            ..Self::default()
        }
    }

    /// The most entries in a namespace. A table that was full had at least as
    /// many as the limit.
    pub fn peak(&self) -> Option<u64> {
        self.namespaces
            .iter()
            .filter_map(|namespace| {
                let entries = namespace.entries?;
                let dropped = self.dropped_before > 0 || namespace.grown(|totals| totals.drop) > 0;
                Some(match namespace.max {
                    Some(max) if dropped && max > 0 => entries.max(max),
                    _ => entries,
                })
            })
            .max()
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

/// Finds the cause.
pub fn diagnose(load: &Load, timeouts: &Timeouts) -> Diagnosis {
    let full: Vec<&NamespaceLoad> = load
        .namespaces
        .iter()
        .filter(|namespace| namespace.is_full())
        .collect();
    let sum = |counter: fn(&Totals) -> Option<u64>| -> u64 {
        let each = load.namespaces.iter();
        each.map(|namespace| namespace.grown(counter)).sum()
    };
    let (drop, chains) = (sum(|totals| totals.drop), sum(|totals| totals.chaintoolong));
    let failed = sum(|totals| totals.insert_failed);
    let pressed = !full.is_empty() || drop + load.dropped_before > 0;
    if pressed
        && let Some(found) = load
            .occupants
            .as_ref()
            .and_then(|of| by_occupants(of, timeouts))
    {
        return found;
    }
    if full.is_empty() && chains > 0 && chains >= drop {
        return few_buckets(chains);
    }
    if full.is_empty() && drop > 0 && failed >= drop {
        return clash(drop);
    }
    match full.first() {
        Some(first) if full.iter().all(|namespace| !namespace.is_host) => noisy(first),
        None if !pressed => Diagnosis {
            cause: Cause::NoneSeen,
            evidence: "nothing shows that packets are refused".to_owned(),
            instead: Vec::new(),
        },
        first => Diagnosis {
            cause: Cause::Undersized,
            evidence: match first {
                Some(first) => format!(
                    "{} of {} entries are in use in {}",
                    first.entries.unwrap_or(0),
                    first.max.unwrap_or(0),
                    first.name
                ),
                None if drop > 0 => format!("{drop} packets were dropped just now"),
                None => format!(
                    "{} packets have been dropped since boot, under a limit that the kernel chose by \
                     itself",
                    load.dropped_before
                ),
            },
            instead: Vec::new(),
        },
    }
}

fn by_occupants(occupants: &Occupants, timeouts: &Timeouts) -> Option<Diagnosis> {
    let source = match &occupants.source {
        Some((source, entries)) => format!("; {source} has {entries} of them"),
        None => String::new(),
    };
    let Occupants {
        entries,
        unreplied,
        idle,
        ..
    } = occupants;
    if idle.saturating_mul(2) >= *entries && *idle > 0 {
        let now = timeouts
            .get("tcp_timeout_established")
            .copied()
            .unwrap_or(432_000);
        return Some(Diagnosis {
            cause: Cause::Leak,
            evidence: format!(
                "{idle} of {entries} entries are established connections on which nothing has \
                 moved for an hour{source}: a leak, which fills any limit"
            ),
            instead: vec![
                format!(
                    "lower net.netfilter.nf_conntrack_tcp_timeout_established from {now} to 7200, or \
                     to what the longest quiet connection needs"
                ),
                "find out who does not close its connections: ctdrop who --by src".to_owned(),
            ],
        });
    }
    (unreplied.saturating_mul(2) >= *entries && *unreplied > 0).then(|| Diagnosis {
        cause: Cause::Flood,
        evidence: format!(
            "{unreplied} of {entries} entries never had an answer{source}: a flood, which fills \
             any limit"
        ),
        instead: vec![
            "do not track what needs no tracking: a rule -j CT --notrack in table raw for the \
             flooded ports"
                .to_owned(),
            "of a flood of TCP: net.netfilter.nf_conntrack_tcp_loose=0, net.ipv4.tcp_syncookies=1 \
             and SYNPROXY for the flooded ports"
                .to_owned(),
            "of a flood of UDP: lower net.netfilter.nf_conntrack_udp_timeout, and drop spoofed \
             sources (rp_filter) before they are tracked"
                .to_owned(),
        ],
    })
}

fn few_buckets(chains: u64) -> Diagnosis {
    Diagnosis {
        cause: Cause::FewBuckets,
        evidence: format!(
            "{chains} insertions were refused as their hash chain was too long, and the table is \
             not full: more buckets help, a higher limit does not"
        ),
        instead: Vec::new(),
    }
}

fn clash(drop: u64) -> Diagnosis {
    Diagnosis {
        cause: Cause::Clash,
        evidence: format!(
            "{drop} packets were dropped that lost a race for their tuple, and the table is not \
             full: no limit helps"
        ),
        instead: vec![
            "of DNS behind NAT: a resolver on the host, or single-request-reopen in resolv.conf"
                .to_owned(),
            "of source NAT: more addresses, or --random-fully".to_owned(),
        ],
    }
}

fn noisy(namespace: &NamespaceLoad) -> Diagnosis {
    Diagnosis {
        cause: Cause::NoisyNamespace,
        evidence: format!(
            "namespace {} has {} of {} entries; the limit is one number that each namespace's own \
             count is compared with",
            namespace.name,
            namespace.entries.unwrap_or(0),
            namespace.max.unwrap_or(0)
        ),
        instead: vec![format!(
            "look at what runs in {}: ctdrop who --netns {}",
            namespace.name, namespace.name
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(entries: u64, max: u64, growth: Totals) -> Load {
        Load {
            namespaces: vec![NamespaceLoad {
                name: "host".to_owned(),
                is_host: true,
                entries: Some(entries),
                max: Some(max),
                growth: Some(growth),
            }],
            ..Load::default()
        }
    }

    fn cause(load: &Load) -> Cause {
        diagnose(load, &Timeouts::new()).cause
    }

    fn grown(drop: u64, insert_failed: u64, chaintoolong: u64) -> Totals {
        Totals {
            drop: Some(drop),
            insert_failed: Some(insert_failed),
            chaintoolong: Some(chaintoolong),
            ..Totals::default()
        }
    }

    fn occupied(mut load: Load, unreplied: u64, idle: u64) -> Load {
        load.occupants = Some(Occupants {
            entries: 1000,
            unreplied,
            idle,
            source: Some(("192.0.2.1".to_owned(), 500)),
        });
        load
    }

    #[test]
    fn each_cause_is_told() {
        assert_eq!(cause(&load(10, 1000, grown(0, 0, 0))), Cause::NoneSeen);
        assert_eq!(cause(&load(1000, 1000, grown(5, 0, 0))), Cause::Undersized);
        assert_eq!(cause(&load(990, 1000, grown(0, 0, 0))), Cause::Undersized);
        assert_eq!(cause(&load(10, 1000, grown(7, 7, 0))), Cause::Clash);
        assert_eq!(cause(&load(10, 1000, grown(0, 9, 9))), Cause::FewBuckets);
        let full = || load(1000, 1000, grown(5, 0, 0));
        assert_eq!(cause(&occupied(full(), 100, 100)), Cause::Undersized);
        assert_eq!(cause(&occupied(full(), 100, 600)), Cause::Leak);
        assert_eq!(cause(&occupied(full(), 600, 100)), Cause::Flood);
        let quiet = load(1, 1000, grown(0, 0, 0));
        assert_eq!(cause(&occupied(quiet, 600, 100)), Cause::NoneSeen);
        let mut noisy = full();
        noisy.namespaces[0].is_host = false;
        assert_eq!(cause(&noisy), Cause::NoisyNamespace);
    }

    #[test]
    fn drops_since_boot_are_no_clashes() {
        let mut tree = load(10, 1000, Totals::default());
        tree.dropped_before = 7;
        assert_eq!(cause(&tree), Cause::Undersized);
        assert_eq!(tree.peak(), Some(1000), "it was full once");
    }

    #[test]
    fn refused_flows_would_have_stayed() {
        let mut load = load(10, 1000, grown(0, 0, 0));
        load.refused = vec![
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
        assert_eq!(load.held_back(&timeouts), 12_000 + 90);
    }
}
