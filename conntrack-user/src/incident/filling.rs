//! What fills a table: working clients, connections that nobody uses, flows that
//! nobody answers.

use serde::Serialize;

use crate::incident::{
    census::Census,
    kind::{Confidence, Culprit},
    sign::{Contents, Idleness, Sign},
    thresholds::{
        CULPRIT, FEW, FLOOD, IDLE, LEAK, LEAK_OF_ONE, SPOOFED_ENTRIES, SPOOFED_SOURCES, is_share,
    },
};

/// Kinds of what fills a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FillingKind {
    /// Nobody has looked.
    #[default]
    NotSeen,
    /// Hardly anything.
    TooFew,
    /// Clients and services that answer each other.
    HonestLoad,
    /// Connections that nobody uses and nobody closes.
    Leak,
    /// Packets without an answer from ever other sources: these are forged.
    SpoofedFlood,
    /// Packets without an answer: a flood, a scan, or a service that is down.
    Flood,
    /// Connections that may be in use or not: it cannot be told.
    Unknown,
}

/// What fills a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filling {
    /// What it is.
    pub kind: FillingKind,
    /// Entries in question: those that are idle, or that nobody answers; or else
    /// all.
    pub entries: u64,
    /// Entries that were looked at.
    pub of: u64,
    /// Whether it is about a part of the table only, by a filter.
    pub filtered: bool,
}

/// What fills a table, who it is, and what shows it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) filling: Filling,
    pub(super) culprit: Option<Culprit>,
    pub(super) confidence: Confidence,
    pub(super) signs: Vec<Sign>,
}

impl FillingKind {
    /// Whether it fills a table of any size.
    pub const fn fills_any_limit(self) -> bool {
        matches!(self, Self::Leak | Self::SpoofedFlood | Self::Flood)
    }
}

impl Found {
    /// Judges a census: the stronger of the two patterns, if there is one.
    pub(super) fn of(census: Option<&Census>) -> Self {
        let Some(census) = census else {
            return Self::plain(FillingKind::NotSeen, 0, Contents::TableNotSeen);
        };
        let mut found = if census.entries < FEW {
            let entries = census.entries;
            let few = Contents::TooFew { entries };
            Self::plain(FillingKind::TooFew, entries, few)
        } else {
            let patterns = [leak(census), flood(census)].into_iter().flatten();
            patterns
                .max_by_key(|found| found.filling.entries)
                .or_else(|| unknown(census))
                .unwrap_or_else(|| honest(census))
        };
        found.filling.filtered = census.filtered;
        found.filling.of = census.entries;
        found.signs.extend(caveats(census));
        found
    }

    fn plain(kind: FillingKind, entries: u64, sign: Contents) -> Self {
        Self::new(kind, entries, None, Confidence::Possible, vec![sign.into()])
    }

    fn new(
        kind: FillingKind,
        entries: u64,
        culprit: Option<Culprit>,
        confidence: Confidence,
        signs: Vec<Sign>,
    ) -> Self {
        Self {
            filling: Filling {
                kind,
                entries,
                of: 0,
                filtered: false,
            },
            culprit,
            confidence,
            signs,
        }
    }
}

/// A leak: half of the entries or more is idle, or a quarter and most of it one
/// client's.
fn leak(census: &Census) -> Option<Found> {
    let idle = census.idle().idle;
    let most = census.idle_source();
    let of_one = most.filter(|&(_, its)| is_share(its, idle, CULPRIT));
    let share = if of_one.is_some() { LEAK_OF_ONE } else { LEAK };
    if !is_share(idle, census.entries, share) {
        return None;
    }
    let mut signs: Vec<Sign> = vec![idle_share(idle, census.entries)];
    let mut culprit = None;
    if let Some((source, its)) = most {
        let share = Idleness::IdleSource {
            source,
            entries: its,
            of: idle,
        };
        signs.push(share.into());
        let heaviest = census.idle_source.as_ref();
        let all = heaviest.filter(|heaviest| heaviest.key == source);
        let all = all.map_or(its, |heaviest| heaviest.entries);
        if of_one.is_some() {
            let share = Idleness::IdleOfSource {
                source,
                entries: its.min(all),
                of: all,
            };
            signs.push(share.into());
            culprit = Some(Culprit::Source {
                address: source,
                owner: owner_of(census, source),
                entries: all,
            });
        }
    }
    signs.extend(idleness(census));
    let confidence = if census.second_look().is_some() {
        Confidence::Likely
    } else {
        Confidence::Possible
    };
    Some(Found::new(
        FillingKind::Leak,
        idle,
        culprit,
        confidence,
        signs,
    ))
}

fn owner_of(census: &Census, address: std::net::IpAddr) -> Option<String> {
    let sources = [&census.idle_source, &census.source];
    let known = sources.into_iter().flatten();
    known
        .filter(|heaviest| heaviest.key == address)
        .find_map(|heaviest| heaviest.owner.clone())
}

fn idle_share(entries: u64, of: u64) -> Sign {
    Sign::Idleness(Idleness::Idle {
        entries,
        of,
        seconds: IDLE,
    })
}

/// How idleness is known.
fn idleness(census: &Census) -> Vec<Sign> {
    let Some(second) = census.second_look() else {
        return vec![Idleness::OneLook.into()];
    };
    let look = Idleness::SecondLook {
        looked: second.looked,
        alive: second.alive,
        idle: second.idle,
        unknown: second.unknown,
        seconds: second.seconds,
    };
    let other = second
        .other_timeout
        .map(|seconds| Idleness::OtherTimeout { seconds });
    std::iter::once(look)
        .chain(other)
        .map(Sign::Idleness)
        .collect()
}

/// Half of the entries or more would be a leak if they were idle, which cannot be
/// told.
fn unknown(census: &Census) -> Option<Found> {
    let idle = census.idle();
    is_share(idle.idle + idle.unknown, census.entries, LEAK).then(|| {
        let not_known = Idleness::IdleUnknown {
            entries: idle.unknown,
            of: census.entries,
        };
        let mut signs = vec![not_known.into()];
        signs.extend(idleness(census));
        let entries = idle.idle + idle.unknown;
        Found::new(
            FillingKind::Unknown,
            entries,
            None,
            Confidence::Possible,
            signs,
        )
    })
}

/// A flood: half of the entries or more was never answered.
fn flood(census: &Census) -> Option<Found> {
    let unreplied = census.unreplied;
    if !is_share(unreplied, census.entries, FLOOD) {
        return None;
    }
    let sources = census.unreplied_sources;
    let forged = sources >= SPOOFED_SOURCES && sources.saturating_mul(SPOOFED_ENTRIES) >= unreplied;
    let mut signs = vec![
        Contents::Unreplied {
            entries: unreplied,
            of: census.entries,
        },
        Contents::UnrepliedSources { sources, forged },
    ];
    let found = |kind, entries, culprit, signs: Vec<Contents>| {
        let signs = signs.into_iter().map(Sign::Contents).collect();
        Found::new(kind, entries, culprit, Confidence::Likely, signs)
    };
    if forged {
        let service = census.unreplied_service.as_ref();
        signs.extend(service.map(|service| Contents::UnrepliedService {
            service: service.key,
            entries: service.unreplied,
            of: unreplied,
        }));
        let target = service.filter(|service| is_share(service.unreplied, unreplied, CULPRIT));
        return Some(found(
            FillingKind::SpoofedFlood,
            unreplied,
            target.map(|service| Culprit::Service {
                service: service.key,
                owner: service.owner.clone(),
                entries: service.unreplied,
            }),
            signs,
        ));
    }
    let source = census.unreplied_source.as_ref();
    signs.extend(source.map(|source| Contents::UnrepliedSource {
        source: source.key,
        entries: source.unreplied,
        of: unreplied,
    }));
    let sender = source.filter(|source| is_share(source.unreplied, unreplied, CULPRIT));
    Some(found(
        FillingKind::Flood,
        unreplied,
        sender.map(|source| Culprit::Source {
            address: source.key,
            owner: source.owner.clone(),
            entries: source.unreplied,
        }),
        signs,
    ))
}

fn honest(census: &Census) -> Found {
    let entries = census.entries;
    let idle = census.idle();
    let replied = Contents::Replied {
        entries: entries - census.unreplied.min(entries),
        of: entries,
    };
    let busiest = census
        .source
        .as_ref()
        .map(|source| Contents::BusiestSource {
            source: source.key,
            entries: source.entries,
            of: entries,
        });
    let mut signs = vec![replied.into(), idle_share(idle.idle, entries)];
    signs.extend(busiest.map(Sign::Contents));
    if census.second.is_some() {
        signs.extend(idleness(census));
    }
    Found::new(
        FillingKind::HonestLoad,
        entries,
        None,
        Confidence::Likely,
        signs,
    )
}

/// What may be wrong about a census.
fn caveats(census: &Census) -> Vec<Sign> {
    let filtered = census.filtered.then_some(Contents::Filtered {
        entries: census.entries,
    });
    let too_low = (census.error_bound > 0).then_some(Contents::CountsTooLow {
        entries: census.error_bound,
    });
    filtered
        .into_iter()
        .chain(too_low)
        .map(Sign::Contents)
        .collect()
}
