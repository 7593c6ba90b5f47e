//! The words for a diagnosis: one sentence for each sign, one line for each
//! remedy. Nobody reads them back.

use std::net::SocketAddr;

use crate::{
    incident::{
        census::Service,
        commands,
        filling::FillingKind,
        forecast::TimeToFull,
        kind::{Culprit, Kind},
        remedy::Remedy,
        sign::{Contents, Idleness, Refusal, Sign},
        thresholds::{FEW, FULL, SPOOFED_ENTRIES},
    },
    kernel::netns::called::Netns,
    say::{
        number::{about, counted, counted_entries, number, seconds, share},
        protocol::{has_ports, protocol_name},
    },
};

/// A name for a kind of incident.
pub const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::None => "no packets are refused",
        Kind::Undersized => "the limit is too low for the load",
        Kind::Leak => "a leak fills the table: idle connections that nobody closes",
        Kind::SpoofedFlood => "a flood with forged sources fills the table",
        Kind::Flood => "a flood, a scan, or a service that is down fills the table",
        Kind::FewBuckets => "the hash table has too few buckets",
        Kind::Clash => "packets clash: another packet inserted the same tuple first",
        Kind::NatExhausted => "source NAT finds no free port",
        Kind::Memory => "the kernel has no memory for entries",
        Kind::NoisyNamespace => "a network namespace other than the host's is full",
        Kind::Unknown => "the cause is unknown",
        Kind::NotSeen => {
            "whether packets are refused is unknown: not all network namespaces can be seen"
        }
    }
}

/// What fills a table, in a few words.
pub const fn filling(kind: FillingKind) -> &'static str {
    match kind {
        FillingKind::NotSeen => "what fills the table is unknown: ctdrop did not read the table",
        FillingKind::TooFew => "too few entries to judge",
        FillingKind::HonestLoad => "looks like honest load",
        FillingKind::Leak => "looks like a leak: idle connections that nobody closes",
        FillingKind::SpoofedFlood => "looks like a flood with forged sources",
        FillingKind::Flood => "looks like a flood, a scan, or a service that is down",
        FillingKind::Unknown => "it is unknown whether the connections are in use",
    }
}

/// The culprit, as `from 192.0.2.7: 1,800 entries`.
pub fn culprit(culprit: &Culprit) -> String {
    let name = culprit_name(culprit);
    match culprit {
        Culprit::Source { entries, .. } | Culprit::Service { entries, .. } => {
            format!("{name}: {}", counted_entries(*entries))
        }
        Culprit::Netns(_) => name,
    }
}

/// The culprit without its entries, as `from 192.0.2.7`.
pub fn culprit_name(culprit: &Culprit) -> String {
    match culprit {
        Culprit::Source { address, owner, .. } => {
            format!("from {address}{}", owned(owner.as_deref()))
        }
        Culprit::Service {
            service: to, owner, ..
        } => format!("to {}{}", service(*to), owned(owner.as_deref())),
        Culprit::Netns(netns) => format!("in network namespace {}", netns.name),
    }
}

/// A sign as a sentence.
pub fn sign(it: &Sign) -> String {
    match it {
        Sign::Refusal(it) => refusal(it),
        Sign::Contents(it) => contents(it),
        Sign::Idleness(it) => idleness(it),
    }
}

fn refusal(it: &Refusal) -> String {
    match it {
        Refusal::NothingRefused => "nothing shows that packets are refused".to_owned(),
        Refusal::LacksCounters => {
            "there are no counters, so whether packets are refused is unknown".to_owned()
        }
        Refusal::TableUse {
            netns,
            entries,
            max,
        } => format!(
            "{} of {} entries are in use in {} ({FULL} % counts as full)",
            number(*entries),
            number(*max),
            netns.name
        ),
        Refusal::RefusedFull { packets } => {
            format!("{} refused because the table was full", were(*packets))
        }
        Refusal::DroppedSinceBoot { packets } => format!(
            "{} dropped since boot; the limit is the kernel's default",
            were(*packets)
        ),
        Refusal::DroppedUnexplained { packets } => format!(
            "{} dropped although the table is not full; no counter shows why",
            were(*packets)
        ),
        Refusal::ChainsTooLong { packets } => format!(
            "{} refused because their hash chain was too long: more buckets help, a higher limit \
             does not",
            were(*packets)
        ),
        Refusal::RacesLost { packets } => format!(
            "{} dropped in a clash: another packet inserted the same tuple first; a higher limit \
             does not help",
            were(*packets)
        ),
        Refusal::NatPortsExhausted { packets } => format!(
            "{} dropped because source NAT found no free port: a higher limit does not help",
            were(*packets)
        ),
        Refusal::NoMemory { packets } => format!(
            "{} refused below the limit because the kernel had no memory",
            were(*packets)
        ),
        Refusal::NotTheHosts { netns } => format!(
            "the full table belongs to network namespace {}: each namespace counts its own entries, \
             and each may reach the limit",
            netns.name
        ),
    }
}

fn contents(it: &Contents) -> String {
    match it {
        Contents::TableNotSeen => {
            "what fills the table is unknown: ctdrop did not read the table".to_owned()
        }
        Contents::TooFew { .. } => format!("fewer than {FEW} entries are too few to judge"),
        Contents::Filtered { entries: 1 } => "only the 1 matching entry was judged".to_owned(),
        Contents::Filtered { entries } => {
            format!("only the {} matching entries were judged", number(*entries))
        }
        Contents::Replied { entries, of } => {
            format!("{} of the entries saw a reply", share(*entries, *of))
        }
        Contents::Unreplied { entries, of } => {
            format!("{} of the entries never saw a reply", share(*entries, *of))
        }
        Contents::UnrepliedSources { sources, forged } => unreplied_sources(*sources, *forged),
        Contents::UnrepliedSource {
            source,
            entries,
            of,
        } => format!(
            "{} of the unreplied entries are from {source}",
            share(*entries, *of)
        ),
        Contents::UnrepliedService {
            service: to,
            entries,
            of,
        } => format!(
            "{} of the unreplied entries are to {}",
            share(*entries, *of),
            service(*to)
        ),
        Contents::BusiestSource {
            source,
            entries,
            of,
        } => format!(
            "the busiest source, {source}, has {} of the entries",
            share(*entries, *of)
        ),
        Contents::CountsTooLow { entries } => format!(
            "counts by source and service can be up to {} too low: not all sources and services fit into memory",
            number(*entries)
        ),
    }
}

fn unreplied_sources(sources: u64, forged: bool) -> String {
    let meaning = if forged {
        format!(
            ", with fewer than {SPOOFED_ENTRIES} entries each on average: the sources are forged, \
             or many hosts scan"
        )
    } else {
        String::new()
    };
    let sources = match sources {
        1 => "1 source".to_owned(),
        several => format!("{} different sources", number(several)),
    };
    format!("the unreplied entries have {sources}{meaning}")
}

fn idleness(it: &Idleness) -> String {
    match it {
        Idleness::Idle {
            entries,
            of,
            seconds: idle,
        } => format!(
            "{} of the entries are established TCP connections without a packet for {} or longer",
            share(*entries, *of),
            seconds(*idle)
        ),
        Idleness::IdleUnknown { entries, of } => format!(
            "{} of the entries are established TCP connections; ctdrop cannot tell whether they \
             are idle, because it does not know their timeout",
            share(*entries, *of)
        ),
        Idleness::IdleSource {
            source,
            entries,
            of,
        } => format!(
            "{} of the idle entries are from {source}",
            share(*entries, *of)
        ),
        Idleness::IdleOfSource {
            source,
            entries,
            of,
        } => format!(
            "{} of the entries of {source} are idle",
            share(*entries, *of)
        ),
        Idleness::SecondLook {
            looked,
            alive,
            idle,
            unknown,
            seconds,
        } => format!(
            "ctdrop read {} again after {seconds} s: {} had a packet; {} had none and are idle; {} \
             had none, and their timeout is unknown",
            counted(*looked, "connection"),
            number(*alive),
            number(*idle),
            number(*unknown)
        ),
        Idleness::OtherTimeout { seconds: set } => format!(
            "some connections have a timeout of at most {} instead of the sysctl's: a rule (ct \
             timeout) or unacknowledged data sets this timeout",
            seconds(*set)
        ),
        Idleness::OneLook => {
            "ctdrop computed idle times from one reading of the table, with the sysctl's timeout"
                .to_owned()
        }
    }
}

/// What a remedy is about.
pub fn what(remedy: &Remedy) -> String {
    match remedy {
        Remedy::RaiseLimit => "raise the limit".to_owned(),
        Remedy::RaiseBuckets => "raise the number of buckets".to_owned(),
        Remedy::LookWho => "find out who fills the table".to_owned(),
        Remedy::LookFlows => "find out which flows are refused, and why".to_owned(),
        Remedy::ShortenTimeout {
            timeout, from, to, ..
        } => format!(
            "shorten net.netfilter.nf_conntrack_{timeout} from {} to {}",
            seconds(*from),
            seconds(*to)
        ),
        Remedy::LookSource { source } => {
            format!("find out which program on {source} does not close its connections")
        }
        Remedy::DeleteSource { source, owner, .. } => {
            format!(
                "delete the entries of flows from {source}{}",
                owned(owner.as_deref())
            )
        }
        Remedy::DeleteService {
            service: to, owner, ..
        } => format!(
            "delete the entries of flows to {}{}",
            service(*to),
            owned(owner.as_deref())
        ),
        Remedy::StopOwner { owner, .. } => format!("stop or limit {owner}"),
        Remedy::KeepOutUnreplied { .. } => "keep out flows that nobody answers".to_owned(),
        Remedy::DropSource { source } => format!("drop packets from {source}"),
        Remedy::DoNotTrack { service: Some(to) } => format!("do not track {}", service(*to)),
        Remedy::DoNotTrack { service: None } => "do not track the flood".to_owned(),
        Remedy::Synproxy => "answer TCP with SYNPROXY".to_owned(),
        Remedy::DropForged => "drop forged sources".to_owned(),
        Remedy::LocalResolver => "prevent clashes of two DNS queries on one socket".to_owned(),
        Remedy::NatAddresses => "give source NAT more addresses or ports".to_owned(),
        Remedy::FreeMemory => "free memory".to_owned(),
    }
}

/// How to carry out a remedy: a line that a shell accepts as it is, with the remark as its
/// comment.
pub fn how(remedy: &Remedy, netns: &Netns) -> String {
    let run = commands::commands(remedy, netns).join("; ");
    let place = (netns.enter.is_none() && commands::act_inside(remedy)).then(|| {
        format!(
            "run this inside network namespace {} (ctdrop knows no command that enters this namespace)",
            netns.name
        )
    });
    let remark = Some(remark(remedy)).filter(|remark| !remark.is_empty());
    if run.is_empty() {
        return remark.unwrap_or_default().to_owned();
    }
    let comments: Vec<String> = place.into_iter().chain(remark.map(str::to_owned)).collect();
    if comments.is_empty() {
        run
    } else {
        format!("{run}  # {}", comments.join("; "))
    }
}

const fn remark(remedy: &Remedy) -> &'static str {
    match remedy {
        Remedy::RaiseLimit => "the command raises the buckets and the limit, and makes both last",
        Remedy::RaiseBuckets => "the command raises the buckets, and makes them last",
        Remedy::LookWho => {
            "before you raise the limit, stop a leak or a flood: it fills a table of any size"
        }
        Remedy::LookFlows | Remedy::LookSource { .. } => "",
        Remedy::ShortenTimeout { .. } => {
            "the new timeout affects later packets only: an entry without packets keeps its remaining \
             time until you delete the entry"
        }
        Remedy::DeleteSource { .. } => "deleting an entry breaks a NATed connection that is in use",
        Remedy::DeleteService { .. } => {
            "or do not track this service (NOTRACK in table raw) if no rule and no NAT needs its state"
        }
        Remedy::StopOwner { .. } => "limit its connections with ct count or connlimit",
        Remedy::KeepOutUnreplied { .. } => {
            "the kernel evicts such flows only when the table is full, and only where it finds one in \
             the 8 buckets that it searches (early_drop). In table raw, drop them or do not track them; \
             for TCP, use SYNPROXY"
        }
        Remedy::DropSource { .. } => {
            "add a rule to table raw, so that the kernel does not track these packets"
        }
        Remedy::DoNotTrack { .. } => {
            "add a rule -j CT --notrack to table raw, if no other rule and no NAT needs the state"
        }
        Remedy::Synproxy => "add a rule -j SYNPROXY for the flooded ports",
        Remedy::DropForged => {
            "add a rule with match rpfilter to table raw: rpfilter recognises sources whose reply would \
             leave through another interface"
        }
        Remedy::LocalResolver => {
            "run a resolver on the host, or set options single-request-reopen in resolv.conf"
        }
        Remedy::NatAddresses => "add source addresses, widen the port range, or use --random-fully",
        Remedy::FreeMemory => {
            "entries need memory that is never swapped out: run slabtop, and find out what else uses \
             memory"
        }
    }
}

/// `udp 192.0.2.53:53`
pub fn service(service: Service) -> String {
    let Service {
        address,
        protocol,
        port,
    } = service;
    let name = protocol_name(protocol);
    if has_ports(protocol) {
        format!("{name} {}", SocketAddr::new(address, port))
    } else {
        format!("{name} {address}")
    }
}

/// `full in about 12 min (9 to 17 min) if it goes on like this`
pub fn time_to_full(time: &TimeToFull) -> String {
    format!(
        "full in {} if it goes on like this",
        about(time.seconds, time.earliest, time.latest)
    )
}

fn owned(owner: Option<&str>) -> String {
    owner.map_or_else(String::new, |owner| format!(" ({owner})"))
}

fn were(packets: u64) -> String {
    match packets {
        1 => "1 packet was".to_owned(),
        more => format!("{} packets were", number(more)),
    }
}
