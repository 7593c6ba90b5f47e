//! From evidence to an incident.

use serde::Serialize;

use crate::{
    incident::{
        census::Census,
        evidence::{Evidence, Refused},
        filling::{Filling, FillingKind, Found},
        json::{self, Remedies},
        kind::{Confidence, Culprit, Kind, Pressure},
        remedy,
        sign::{Refusal, Sign},
        words,
    },
    kernel::netns::called::Netns,
};

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
    #[serde(serialize_with = "json::signs")]
    pub evidence: Vec<Sign>,
    /// What helps, most first.
    pub remedies: Remedies,
}

impl Incident {
    /// Whether more room in the table helps, be it for a while.
    pub const fn wants_room(&self) -> bool {
        needs_room(self.pressure, self.kind) || self.fills_any_limit()
    }

    /// The same, where some network namespaces are out of sight: that nothing is
    /// refused in the others says nothing of these.
    #[must_use]
    pub fn seen_in_part(self) -> Self {
        if self.kind != Kind::None {
            return self;
        }
        Self {
            kind: Kind::NotSeen,
            confidence: Confidence::Possible,
            ..self
        }
    }

    /// An incident in one sentence, with what shows it best.
    pub fn headline(&self) -> String {
        let what = words::kind(self.kind);
        let of_the_table = |it: &&Sign| !matches!(it, Sign::Refusal(_));
        let signs = &self.evidence;
        match signs.iter().find(of_the_table).or(signs.first()) {
            Some(best) => format!("{what}: {}", words::sign(best)),
            None => what.to_owned(),
        }
    }

    /// An incident, then what shows it, each as a sentence.
    pub fn sentences(&self) -> Vec<String> {
        let nothing = Sign::Refusal(Refusal::NothingRefused);
        let signs = self.evidence.iter().filter(|&it| *it != nothing);
        // Without counters "no packets are refused" would say what nobody knows.
        let uncounted = Sign::Refusal(Refusal::LacksCounters);
        let kind = (!self.evidence.contains(&uncounted)).then(|| words::kind(self.kind).to_owned());
        kind.into_iter().chain(signs.map(words::sign)).collect()
    }

    /// What helps, each as a line.
    pub fn advice(&self) -> Vec<String> {
        let Remedies { netns, list } = &self.remedies;
        list.iter()
            .map(|remedy| format!("{}: {}", words::what(remedy), words::how(remedy, netns)))
            .collect()
    }

    /// What helps besides what `ctdrop fix` does, each as a line.
    pub fn instead(&self) -> Vec<String> {
        let Remedies { netns, list } = &self.remedies;
        let others = list.iter().filter(|remedy| !remedy.is_fix());
        others
            .map(|remedy| format!("{}: {}", words::what(remedy), words::how(remedy, netns)))
            .collect()
    }

    /// Whether what fills the table fills any: a higher limit only buys time.
    pub const fn fills_any_limit(&self) -> bool {
        self.kind.fills_any_limit()
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
        let full = |it: &Evidence| it.is_full() || it.has_been_full();
        let rank = |it: &Evidence| (full(it), full(it) && it.netns.is_host);
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

/// Judges the worst of several namespaces; with the census of its table, if there
/// is one.
pub fn judge_worst(namespaces: &[Evidence], census: Option<&Census>) -> Incident {
    let none = Evidence::default();
    judge(worst(namespaces).unwrap_or(&none), census)
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
        Kind::None | Kind::NotSeen | Kind::Leak | Kind::SpoofedFlood | Kind::Flood => {
            found.culprit.clone()
        }
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
    let looked = census.is_some() || matches!(pressure, Pressure::Full | Pressure::WasFull);
    if looked {
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
        FillingKind::Leak => Some(Kind::Leak),
        FillingKind::SpoofedFlood => Some(Kind::SpoofedFlood),
        FillingKind::Flood => Some(Kind::Flood),
        FillingKind::Unknown => Some(Kind::Unknown),
        FillingKind::NotSeen | FillingKind::TooFew | FillingKind::HonestLoad => None,
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
        Kind::Unknown | Kind::NotSeen => Confidence::Possible,
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
        signs.push(if evidence.lacks_counters {
            Refusal::LacksCounters
        } else {
            Refusal::NothingRefused
        });
    }
    signs.into_iter().map(Sign::Refusal).collect()
}
