//! The one diagnosis of ctdrop: why packets are refused, and what fills the
//! table.
//!
//! [`Evidence`] of a namespace and the [`Census`] of its table go in, an
//! [`Incident`] comes out. `who`, `status`, `fix`, `watch --fix` and `logs` ask
//! here and nowhere else, so that they cannot contradict each other: what they
//! know can differ (not all have looked who fills the table), what follows from
//! it cannot. Everything is decided over plain data; [`words`] says it.

pub mod census;
pub mod evidence;
pub mod filling;
pub mod idleness;
pub mod remedy;
pub mod sign;
#[cfg(test)]
mod tests;
pub mod thresholds;
pub mod words;

use std::net::IpAddr;

use serde::Serialize;

pub use self::{
    census::{Census, Service},
    evidence::{Evidence, Netns},
    filling::Filling,
    remedy::{Remedies, Remedy},
    sign::Sign,
};
use self::{evidence::Refused, filling::Found, sign::Refusal};

/// Why packets are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nothing shows that any are.
    None,
    /// More flows are alive than the limit allows.
    Undersized,
    /// Most entries are connections that nobody uses and nobody closes.
    Leak,
    /// Most entries are flows of forged sources.
    SpoofedFlood,
    /// Most entries are flows that nobody answers.
    Flood,
    /// Chains of the hash table are too long.
    FewBuckets,
    /// Packets lose the race for their tuple.
    Clash,
    /// Source NAT finds no free port.
    NatExhausted,
    /// The kernel has no memory for entries.
    Memory,
    /// A namespace is full, and not the host's own.
    NoisyNamespace,
    /// It cannot be told.
    Unknown,
}

/// How a table stands to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pressure {
    /// Nothing is refused, and there is room.
    Calm,
    /// Nothing is refused now; packets have been dropped since boot under a limit
    /// that the kernel chose by itself.
    WasFull,
    /// There is room, and packets are refused.
    Refusing,
    /// It is full, or as good as.
    Full,
}

/// How sure a diagnosis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// What is seen allows it, and others.
    Possible,
    /// What is seen speaks for it.
    Likely,
    /// What is seen leaves nothing else.
    Certain,
}

/// Who is to be looked at first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Culprit {
    /// A client.
    Source {
        /// Its address.
        address: IpAddr,
        /// The container, pod or namespace whose address it is, where known.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
    },
    /// What a flood is for; its sources say nothing.
    Service {
        /// Which one.
        #[serde(flatten)]
        service: Service,
        /// The container, pod or namespace whose address it has, where known.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
    },
    /// A network namespace.
    Netns(Netns),
}

/// A diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// The namespace it is about.
    pub netns: Netns,
    /// Why packets are refused.
    pub kind: Kind,
    /// How the table stands to its limit.
    pub pressure: Pressure,
    /// What fills it.
    pub filling: Filling,
    /// Who is to be looked at first, if it is one.
    pub culprit: Option<Culprit>,
    /// How sure it is.
    pub confidence: Confidence,
    /// What shows it.
    #[serde(serialize_with = "sign::with_words")]
    pub evidence: Vec<Sign>,
    /// What helps, most first.
    pub remedies: Remedies,
}

impl Incident {
    /// Whether more room in the table helps, be it for a while.
    pub const fn wants_room(&self) -> bool {
        needs_room(self.pressure, self.kind) || self.fills_any_limit()
    }

    /// Whether what fills the table fills any: a higher limit only buys time.
    pub const fn fills_any_limit(&self) -> bool {
        matches!(self.kind, Kind::Leak | Kind::SpoofedFlood | Kind::Flood)
    }
}

/// Whether a higher limit is what helps.
const fn needs_room(pressure: Pressure, kind: Kind) -> bool {
    match kind {
        Kind::Undersized | Kind::NoisyNamespace => true,
        Kind::Unknown => matches!(pressure, Pressure::Full | Pressure::WasFull),
        _ => false,
    }
}

/// The namespace to judge, of several: of those that are full the host's own, or
/// else the one that has refused most, or else the fullest.
pub fn worst(namespaces: &[Evidence]) -> Option<&Evidence> {
    namespaces.iter().max_by(|one, other| {
        let rank = |it: &Evidence| (it.is_full(), it.is_full() && it.netns.is_host);
        let refused = |it: &Evidence| it.refused_now();
        let before = |it: &Evidence| it.dropped_before;
        rank(one)
            .cmp(&rank(other))
            .then(refused(one).cmp(&refused(other)))
            .then(before(one).cmp(&before(other)))
            .then(share(one).total_cmp(&share(other)))
            .then(one.netns.is_host.cmp(&other.netns.is_host))
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share, of numbers far below 2^52"
)]
fn share(evidence: &Evidence) -> f64 {
    match (evidence.entries, evidence.max) {
        (Some(entries), Some(max)) if max > 0 => entries as f64 / max as f64,
        _ => -1.0,
    }
}

/// Judges a namespace; with the census of its table, if there is one.
pub fn judge(evidence: &Evidence, census: Option<&Census>) -> Incident {
    let refused = evidence.refused_by_lack();
    let found = Found::of(census);
    let pressure = pressure(evidence, refused);
    let kind = kind(evidence, pressure, refused, found.filling);
    let netns = evidence.netns.clone();
    let culprit = match kind {
        Kind::NoisyNamespace => Some(Culprit::Netns(netns.clone())),
        Kind::None | Kind::Leak | Kind::SpoofedFlood | Kind::Flood => found.culprit.clone(),
        _ => None,
    };
    let case = remedy::Case {
        kind,
        needs_room: needs_room(pressure, kind),
        filling: found.filling.kind,
        culprit: found.culprit.as_ref(),
    };
    let remedies = remedy::of(&case, census);
    let mut signs = shown_by(evidence, kind, pressure, refused);
    let confidence = confidence(evidence, kind, pressure, &found);
    // What fills the table is no news where nobody has looked, and none had to.
    let untold = census.is_none() && !matches!(pressure, Pressure::Full | Pressure::WasFull);
    if !untold {
        signs.extend(found.signs);
    }
    Incident {
        kind,
        pressure,
        filling: found.filling,
        culprit,
        confidence,
        evidence: signs,
        remedies: Remedies {
            netns: netns.clone(),
            list: remedies,
        },
        netns,
    }
}

fn pressure(evidence: &Evidence, refused: Refused) -> Pressure {
    if refused.room > 0 || evidence.is_full() {
        return Pressure::Full;
    }
    if refused.total() > 0 {
        return Pressure::Refusing;
    }
    if evidence.dropped_before > 0 {
        return Pressure::WasFull;
    }
    Pressure::Calm
}

fn kind(evidence: &Evidence, pressure: Pressure, refused: Refused, filling: Filling) -> Kind {
    match pressure {
        Pressure::Calm => Kind::None,
        Pressure::Refusing => by_lack(refused),
        Pressure::WasFull => by_filling(filling).unwrap_or(Kind::Undersized),
        // Chains can be too long in a table that happens to be nearly full.
        Pressure::Full if refused.room == 0 && refused.total() > 0 => by_lack(refused),
        Pressure::Full => match by_filling(filling) {
            Some(kind) if kind != Kind::Unknown || evidence.netns.is_host => kind,
            _ if !evidence.netns.is_host => Kind::NoisyNamespace,
            _ => Kind::Undersized,
        },
    }
}

/// What a table with room refuses packets for: what most of them lacked.
fn by_lack(refused: Refused) -> Kind {
    let lacks = [
        (refused.unknown, Kind::Unknown),
        (refused.memory, Kind::Memory),
        (refused.clash, Kind::Clash),
        (refused.nat, Kind::NatExhausted),
        (refused.chains, Kind::FewBuckets),
    ];
    let most = lacks.into_iter().max_by_key(|(packets, _)| *packets);
    most.map_or(Kind::Unknown, |(_, kind)| kind)
}

/// The kind that follows from what fills the whole table, if one does.
const fn by_filling(filling: Filling) -> Option<Kind> {
    if filling.filtered {
        return None;
    }
    match filling.kind {
        filling::Kind::Leak => Some(Kind::Leak),
        filling::Kind::SpoofedFlood => Some(Kind::SpoofedFlood),
        filling::Kind::Flood => Some(Kind::Flood),
        filling::Kind::Unknown => Some(Kind::Unknown),
        filling::Kind::NotSeen | filling::Kind::TooFew | filling::Kind::HonestLoad => None,
    }
}

fn confidence(evidence: &Evidence, kind: Kind, pressure: Pressure, found: &Found) -> Confidence {
    let programs = !evidence.refused.is_empty();
    match kind {
        Kind::None if found.filling.kind.fills_any_limit() => found.confidence,
        Kind::None if evidence.growth.is_some() || programs => Confidence::Certain,
        Kind::FewBuckets | Kind::Memory | Kind::NatExhausted | Kind::NoisyNamespace => {
            Confidence::Certain
        }
        Kind::Clash if programs => Confidence::Certain,
        Kind::None | Kind::Clash => Confidence::Likely,
        Kind::Undersized if pressure == Pressure::WasFull || found.filling.filtered => {
            Confidence::Possible
        }
        Kind::Undersized | Kind::Leak | Kind::SpoofedFlood | Kind::Flood => found.confidence,
        Kind::Unknown => Confidence::Possible,
    }
}

/// What shows that packets are refused, and for what.
fn shown_by(evidence: &Evidence, kind: Kind, pressure: Pressure, refused: Refused) -> Vec<Sign> {
    let mut signs = Vec::new();
    if kind == Kind::NoisyNamespace {
        signs.push(Refusal::NotTheHosts {
            netns: evidence.netns.clone(),
        });
    }
    if let (Some(entries), Some(max)) = (evidence.entries, evidence.max)
        && pressure == Pressure::Full
    {
        signs.push(Refusal::TableUse {
            netns: evidence.netns.clone(),
            entries,
            max,
        });
    }
    let Refused {
        room,
        memory,
        chains,
        clash,
        nat,
        unknown,
    } = refused;
    let lacks = [
        (room, Refusal::RefusedFull { packets: room }),
        (chains, Refusal::ChainsTooLong { packets: chains }),
        (clash, Refusal::RacesLost { packets: clash }),
        (nat, Refusal::NatPortsExhausted { packets: nat }),
        (memory, Refusal::NoMemory { packets: memory }),
        (unknown, Refusal::DroppedUnexplained { packets: unknown }),
    ];
    signs.extend(
        lacks
            .into_iter()
            .filter(|(packets, _)| *packets > 0)
            .map(|(_, sign)| sign),
    );
    if evidence.dropped_before > 0 {
        signs.push(Refusal::DroppedSinceBoot {
            packets: evidence.dropped_before,
        });
    }
    if pressure == Pressure::Calm {
        signs.push(Refusal::NothingRefused);
    }
    signs.into_iter().map(Sign::Refusal).collect()
}
