//! What would free most of the table.

use serde::Serialize;

use super::{
    aggregate::{Aggregate, Service},
    entry::{Address, TCP, UDP},
    owners::Owners,
    verdict::seconds,
};
use crate::observe::flow::protocol_name;

/// How many measures are shown.
const SHOWN: usize = 6;

/// Something that could be done, and what it would free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// What kind it is.
    pub kind: Kind,
    /// What it is about, in words.
    pub what: String,
    /// How many entries of the table it is about; at least as many, if keys had
    /// to be given up.
    pub entries: u64,
    /// How it is done, and what to think of.
    pub how: String,
}

/// Kinds of measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A shorter timeout.
    Timeout,
    /// Entries of one source.
    Source,
    /// Entries of one service.
    Service,
    /// Entries of one container, pod or namespace.
    Owner,
    /// Entries that saw no reply.
    Unreplied,
}

/// The measures that would free something, most first.
pub fn measures(sums: &Aggregate, owners: &Owners) -> Vec<Measure> {
    let mut measures: Vec<Measure> = timeouts(sums).collect();
    let source = sums.sources.most(|count| count.entries);
    measures.extend(source.map(|(address, count)| by_source(address, count.entries, owners)));
    let service = sums.services.most(|count| count.entries);
    measures.extend(service.map(|(service, count)| by_service(service, count.entries)));
    let owner = sums.owners.iter().max_by_key(|(_, count)| count.entries);
    measures.extend(owner.and_then(|(&index, count)| {
        Some(Measure {
            kind: Kind::Owner,
            what: format!("flows of {}", owners.name(index)?),
            entries: u64::from(count.entries),
            how: "stop it, or limit its connections (ct count, connlimit)".to_owned(),
        })
    }));
    if sums.progress.unreplied > 0 {
        measures.push(unreplied(sums.progress.unreplied));
    }
    measures.sort_by_key(|measure| std::cmp::Reverse(measure.entries));
    measures.truncate(SHOWN);
    measures
}

fn timeouts(sums: &Aggregate) -> impl Iterator<Item = Measure> {
    sums.overdue
        .iter()
        .filter(|(.., entries)| *entries > 0)
        .filter_map(|&(class, now, shortest, entries)| {
            let name = class.sysctl()?;
            Some(Measure {
                kind: Kind::Timeout,
                what: format!(
                    "net.netfilter.nf_conntrack_{name} from {} to {}",
                    seconds(now),
                    seconds(shortest)
                ),
                entries,
                how: format!(
                    "sysctl -w net.netfilter.nf_conntrack_{name}={shortest}; it holds for \
                     packets to come: entries that are there keep their time, or are deleted \
                     (conntrack -D)"
                ),
            })
        })
}

fn by_source(address: Address, entries: u32, owners: &Owners) -> Measure {
    let owner = owners.of(address).map(|name| format!(" ({name})"));
    Measure {
        kind: Kind::Source,
        what: format!("flows from {address}{}", owner.unwrap_or_default()),
        entries: u64::from(entries),
        how: format!("conntrack -D -s {address}; it breaks those in use behind NAT"),
    }
}

fn by_service(service: Service, entries: u32) -> Measure {
    let Service {
        address,
        protocol,
        port,
    } = service;
    let name = protocol_name(protocol);
    let with_port = matches!(protocol, TCP | UDP);
    let (place, option) = if with_port {
        (format!(" port {port}"), format!(" --dport {port}"))
    } else {
        (String::new(), String::new())
    };
    Measure {
        kind: Kind::Service,
        what: format!("flows to {address} {name}{place}"),
        entries: u64::from(entries),
        how: format!(
            "conntrack -D -d {address} -p {name}{option}; or do not track it (NOTRACK in table \
             raw) if no rule and no NAT needs its state"
        ),
    }
}

fn unreplied(entries: u64) -> Measure {
    Measure {
        kind: Kind::Unreplied,
        what: "flows that saw no reply".to_owned(),
        entries,
        how: "early_drop evicts them when the table is full; drop or do not track what makes \
              them (table raw), SYNPROXY for TCP"
            .to_owned(),
    }
}
