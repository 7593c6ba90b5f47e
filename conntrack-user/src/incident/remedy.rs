//! What helps: one table of remedies, typed, so that programs can read them and
//! [`super::words`] can say them.

use std::net::IpAddr;

use serde::Serialize;

use crate::{
    incident::{
        census::{Census, ESTABLISHED, Heaviest, Overdue, Service},
        filling::FillingKind,
        kind::{Culprit, Kind},
    },
    table::entry::TCP,
};

/// How many remedies that free entries are shown.
const SHOWN: usize = 6;

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Remedy {
    /// A higher limit.
    RaiseLimit,
    /// More buckets.
    RaiseBuckets,
    /// Look who fills the table of the namespace.
    LookWho,
    /// Look which packets are refused, and why.
    LookFlows,
    /// A shorter timeout.
    ShortenTimeout {
        /// The sysctl, below `net.netfilter.nf_conntrack_`.
        timeout: &'static str,
        /// Seconds now.
        from: u32,
        /// The shortest that breaks no flow that only rests, in seconds.
        to: u32,
        /// Entries that it would have ended.
        entries: u64,
    },
    /// Look at the connections of a source that does not close them.
    LookSource {
        /// Its address.
        source: IpAddr,
    },
    /// Delete the entries of a source.
    DeleteSource {
        /// Its address.
        source: IpAddr,
        /// Whose address it is, where that is known.
        owner: Option<String>,
        /// Its entries.
        entries: u64,
    },
    /// Delete the entries of a service.
    DeleteService {
        /// Which one.
        service: Service,
        /// Whose address it has, where that is known.
        owner: Option<String>,
        /// Its entries.
        entries: u64,
    },
    /// Stop a container, a pod or what runs in a namespace, or limit it.
    StopOwner {
        /// Its name.
        owner: String,
        /// Its entries.
        entries: u64,
    },
    /// Keep flows that nobody answers out of the table.
    KeepOutUnreplied {
        /// How many there are.
        entries: u64,
    },
    /// Drop the packets of a source before they are tracked.
    DropSource {
        /// Its address.
        source: IpAddr,
    },
    /// Do not track what goes to a service.
    DoNotTrack {
        /// Which one; none if it is not one.
        service: Option<Service>,
    },
    /// Let SYNPROXY answer TCP, and track nothing but its handshakes.
    Synproxy,
    /// Drop packets whose source is forged, where the route back shows it.
    DropForged,
    /// Keep two queries of one socket from racing.
    LocalResolver,
    /// More source addresses or ports for NAT.
    NatAddresses,
    /// More free memory.
    FreeMemory,
}

impl Remedy {
    /// Entries that it would free; none if that is not what it is for.
    pub const fn entries(&self) -> Option<u64> {
        match self {
            Self::ShortenTimeout { entries, .. }
            | Self::DeleteSource { entries, .. }
            | Self::DeleteService { entries, .. }
            | Self::StopOwner { entries, .. }
            | Self::KeepOutUnreplied { entries } => Some(*entries),
            _ => None,
        }
    }

    /// Whether it is what `ctdrop fix` does.
    pub const fn is_fix(&self) -> bool {
        matches!(self, Self::RaiseLimit | Self::RaiseBuckets)
    }
}

/// What remedies follow from, besides the census.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) kind: Kind,
    /// Whether a higher limit helps.
    pub(super) needs_room: bool,
    pub(super) filling: FillingKind,
    pub(super) culprit: Option<&'a Culprit>,
}

/// The remedies for an incident, what helps most first.
pub(super) fn of(case: &Case<'_>, census: Option<&Census>) -> Vec<Remedy> {
    let Case {
        kind,
        needs_room,
        filling,
        culprit,
    } = *case;
    let look = census.is_none().then_some(Remedy::LookWho);
    let mut remedies: Vec<Remedy> = match kind {
        Kind::Undersized | Kind::NoisyNamespace => look.into_iter().collect(),
        Kind::Unknown if needs_room => vec![Remedy::LookWho],
        Kind::Unknown => vec![Remedy::LookFlows],
        Kind::FewBuckets => vec![Remedy::RaiseBuckets],
        Kind::Clash => vec![
            Remedy::LocalResolver,
            Remedy::NatAddresses,
            Remedy::LookFlows,
        ],
        Kind::NatExhausted => vec![Remedy::NatAddresses, Remedy::LookFlows],
        Kind::Memory => vec![Remedy::FreeMemory],
        Kind::None | Kind::NotSeen | Kind::Leak | Kind::SpoofedFlood | Kind::Flood => Vec::new(),
    };
    if kind == Kind::NoisyNamespace {
        remedies.extend(census.and_then(stop_owner));
    }
    if let Some(census) = census {
        remedies.extend(against(filling, culprit, census));
    }
    remedies.extend(needs_room.then_some(Remedy::RaiseLimit));
    remedies
}

/// What helps against what fills a table of any size.
fn against(filling: FillingKind, culprit: Option<&Culprit>, census: &Census) -> Vec<Remedy> {
    let source = match culprit {
        Some(Culprit::Source { address, .. }) => Some(*address),
        _ => None,
    };
    let service = census.unreplied_service.as_ref();
    match filling {
        FillingKind::Leak => {
            let overdue = census.overdue();
            let timeout = overdue.iter().find(|it| it.timeout == ESTABLISHED);
            let shorten = timeout.map(shorten);
            let look = source.map(|source| Remedy::LookSource { source });
            // A shorter timeout leaves the entries that are there.
            let delete = [&census.source, &census.idle_source]
                .into_iter()
                .flatten()
                .find(|heaviest| Some(heaviest.key) == source)
                .map(delete_source);
            shorten.into_iter().chain(delete).chain(look).collect()
        }
        FillingKind::SpoofedFlood => {
            let target = match culprit {
                Some(Culprit::Service { service, .. }) => Some(*service),
                _ => None,
            };
            let mut remedies = vec![Remedy::DoNotTrack { service: target }, Remedy::DropForged];
            if service.is_some_and(|service| service.key.protocol == TCP) {
                remedies.push(Remedy::Synproxy);
            }
            remedies
        }
        FillingKind::Flood => {
            let drop = source.map(|source| Remedy::DropSource { source });
            let busiest = service.map(|service| service.key);
            let rest = Remedy::DoNotTrack { service: busiest };
            drop.into_iter().chain([rest]).collect()
        }
        _ => Vec::new(),
    }
}

/// The remedies that would free entries of a table, most first.
pub fn freeing(census: &Census) -> Vec<Remedy> {
    let mut remedies: Vec<Remedy> = census
        .overdue()
        .iter()
        .filter(|overdue| overdue.entries > 0)
        .map(shorten)
        .collect();
    remedies.extend(census.source.as_ref().map(delete_source));
    remedies.extend(
        census
            .service
            .as_ref()
            .map(|service| Remedy::DeleteService {
                service: service.key,
                owner: service.owner.clone(),
                entries: service.entries,
            }),
    );
    remedies.extend(stop_owner(census));
    if census.unreplied > 0 {
        remedies.push(Remedy::KeepOutUnreplied {
            entries: census.unreplied,
        });
    }
    remedies.sort_by_key(|remedy| std::cmp::Reverse(remedy.entries()));
    remedies.truncate(SHOWN);
    remedies
}

fn delete_source(source: &Heaviest<IpAddr>) -> Remedy {
    Remedy::DeleteSource {
        source: source.key,
        owner: source.owner.clone(),
        entries: source.entries,
    }
}

fn stop_owner(census: &Census) -> Option<Remedy> {
    let (owner, entries) = census.owner.clone()?;
    Some(Remedy::StopOwner { owner, entries })
}

const fn shorten(overdue: &Overdue) -> Remedy {
    Remedy::ShortenTimeout {
        timeout: overdue.timeout,
        from: overdue.now,
        to: overdue.shortest,
        entries: overdue.entries,
    }
}
