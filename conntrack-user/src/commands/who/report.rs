//! What is said of one namespace: plain data, for text and JSON.

use serde::Serialize;

use crate::{
    incident::{Census, Evidence, Incident, Remedies, judge, remedy},
    kernel::{container::Container, limits::Limits},
    say::protocol::{has_ports, is_icmp, protocol_name},
    table::{
        aggregate::{Aggregate, ByProgress, Evictable, Histogram, RANGES, Service, State},
        dump::Outcome,
        entry::{Address, Entry, Progress},
        filter::{Criterion, Filter},
        hitters::{Count, Hitters},
        idle::SecondLook,
        owners::Owners,
    },
};

/// A table, added up.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "namespace")]
pub struct Report {
    /// When the dump began, RFC 3339.
    pub time: String,
    /// Inode of the namespace.
    pub netns: Option<u32>,
    /// Its name.
    pub name: String,
    /// The container that it is of.
    pub container: Option<Container>,
    /// The limit for each namespace, if there is one.
    pub max: Option<u64>,
    /// Entries that were asked for.
    pub entries: u64,
    /// Why packets are refused, and what fills the table; of the entries that
    /// were asked for.
    pub incident: Incident,
    /// By who may evict them.
    pub evictable: Evictable,
    /// Share of entries that `early_drop` may evict; null without entries.
    pub evictable_share: Option<f64>,
    /// By how far they have come.
    pub progress: ByProgress,
    /// Established TCP connections.
    pub established: u64,
    /// Of these, those without a packet for an hour or longer, by one look.
    pub idle_established: u64,
    /// Of these, those of which one look cannot tell it.
    pub idle_unknown: u64,
    /// What a second look at connections of both kinds has shown.
    pub second_look: Option<SecondLook>,
    /// By source.
    pub sources: Group<Place>,
    /// By destination.
    pub destinations: Group<Place>,
    /// By service.
    pub services: Group<ServiceName>,
    /// By container, pod or namespace whose address it is.
    pub owners: Vec<Row<OwnerName>>,
    /// By protocol, state and progress; all of them.
    pub states: Vec<StateRow>,
    /// By zone.
    pub zones: Group<Zone>,
    /// By mark.
    pub marks: Group<MarkValue>,
    /// By time until they expire.
    pub remaining: Vec<Range>,
    /// By age, of entries that have one.
    pub age: Age,
    /// What would free most.
    pub would_free: Remedies,
    /// How the dump went.
    pub dump: Dump,
}

/// The rows of a group with most entries.
#[derive(Debug, Serialize)]
pub struct Group<T> {
    /// The rows, most entries first.
    pub rows: Vec<Row<T>>,
    /// How many more keys have a count.
    pub omitted: u64,
    /// How many different keys there were; an estimate if `error_bound` is not 0.
    pub distinct: u64,
    /// By how many entries a count can be too low.
    pub error_bound: u32,
}

/// A key and its counts.
#[derive(Debug, Serialize)]
pub struct Row<T> {
    /// The key.
    #[serde(flatten)]
    pub key: T,
    /// Entries.
    pub entries: u32,
    /// Of these, those that `early_drop` may evict.
    pub evictable: u32,
    /// Of these, those that saw no reply.
    pub unreplied: u32,
    /// Of these, established TCP connections without a packet for an hour or
    /// longer, by one look.
    pub idle_established: u32,
}

/// An address and whose it is.
#[derive(Debug, Serialize)]
pub struct Place {
    /// The address.
    pub address: Address,
    /// Name of the namespace, container or pod whose address it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A service and whose address it has.
#[derive(Debug, Serialize)]
pub struct ServiceName {
    /// Address and owner.
    #[serde(flatten)]
    pub place: Place,
    /// Protocol, by name or number.
    pub protocol: String,
    /// Its number.
    #[serde(skip)]
    pub number: u8,
    /// Port, or ICMP type and code.
    #[serde(skip)]
    pub raw_port: u16,
    /// Port, of protocols that have ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Type, of ICMP and `ICMPv6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    /// Code, of ICMP and `ICMPv6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<u8>,
}

/// The name of an owner.
#[derive(Debug, Serialize)]
pub struct OwnerName {
    /// Its name.
    pub owner: String,
}

/// A zone.
#[derive(Debug, Serialize)]
pub struct Zone {
    /// Its number.
    pub zone: u16,
}

/// A mark.
#[derive(Debug, Serialize)]
pub struct MarkValue {
    /// Its value.
    pub mark: u32,
}

/// Entries of a protocol, state and progress.
#[derive(Debug, Serialize)]
pub struct StateRow {
    /// Protocol, by name or number.
    pub protocol: String,
    /// State, of protocols that have states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// How far the flows have come.
    pub progress: Progress,
    /// Entries.
    pub entries: u64,
}

/// Entries in a range of time.
#[derive(Debug, Serialize)]
pub struct Range {
    /// Its upper end in seconds; none for the last one.
    pub below: Option<u32>,
    /// Entries.
    pub entries: u64,
}

/// Ages.
#[derive(Debug, Serialize)]
pub struct Age {
    /// Entries that have an age: made while `nf_conntrack_timestamp` was on.
    pub known: u64,
    /// By age; empty if none is known.
    pub ranges: Vec<Range>,
}

/// How a dump went.
#[derive(Debug, Serialize)]
pub struct Dump {
    /// Seconds that it took.
    pub seconds: f64,
    /// How often it was begun.
    pub attempts: u32,
    /// Entries of the namespace before, by its own count.
    pub entries_before: Option<u64>,
    /// The same afterwards.
    pub entries_after: Option<u64>,
    /// Whether the number of buckets changed meanwhile: entries may be missing
    /// or counted twice.
    pub resized: bool,
    /// Entries received, also those that were not asked for.
    pub received: u64,
    /// Of these, those that could not be read; they are in no count.
    pub unreadable: u64,
    /// How often the kernel lacked room for a datagram (`ENOBUFS`).
    pub overruns: u64,
    /// Whether the kernel said that the table changed under the dump.
    pub interrupted: bool,
    /// Criteria that the kernel filtered by, as far as can be seen: it sent
    /// nothing that fails them.
    pub filtered_by_kernel: Vec<Criterion>,
    /// Criteria that entries had to be filtered by here.
    pub filtered_here: Vec<Criterion>,
}

/// What was seen of a table.
#[derive(Debug)]
pub struct Seen {
    /// The entries, added up.
    pub sums: Aggregate,
    /// How the dump went.
    pub outcome: Outcome,
    /// When it began, RFC 3339.
    pub time: String,
    /// Seconds that it took.
    pub seconds: f64,
    /// How often it was begun.
    pub attempts: u32,
    /// The namespace's limits before.
    pub before: Limits,
    /// And afterwards.
    pub after: Limits,
}

/// What is known besides.
#[derive(Debug)]
pub struct Context<'a> {
    /// The container that the namespace is of.
    pub container: Option<&'a Container>,
    /// Whose addresses are whose.
    pub owners: &'a Owners,
    /// What was asked for.
    pub filter: &'a Filter,
    /// What shows whether packets are refused.
    pub evidence: Evidence,
    /// How many rows a group shows.
    pub top: usize,
}

impl Dump {
    /// Whether entries were chosen from the table.
    pub const fn is_filtered(&self) -> bool {
        !(self.filtered_by_kernel.is_empty() && self.filtered_here.is_empty())
    }
}

impl Report {
    /// Puts a report together.
    pub fn new(seen: &Seen, context: &Context<'_>) -> Self {
        let Context {
            container,
            owners,
            evidence,
            top,
            ..
        } = context;
        let sums = &seen.sums;
        let census = Census {
            filtered: context.filter.criteria().next().is_some(),
            ..Census::of(sums, owners)
        };
        let place = |address| place(address, owners);
        Self {
            time: seen.time.clone(),
            netns: evidence.netns.inode,
            name: evidence.netns.name.clone(),
            container: container.cloned(),
            max: seen.before.max.filter(|&max| max > 0),
            entries: sums.entries,
            incident: judge(evidence, Some(&census)),
            evictable: sums.evictable,
            evictable_share: share(sums.evictable.early_drop, sums.entries),
            progress: sums.progress,
            established: sums.established,
            idle_established: sums.idle_established,
            idle_unknown: sums.idle_unknown,
            second_look: sums.second,
            sources: group(&sums.sources, *top, place),
            destinations: group(&sums.destinations, *top, place),
            services: group(&sums.services, *top, |service| {
                service_name(service, owners)
            }),
            owners: owner_rows(sums, owners, *top),
            states: state_rows(sums),
            zones: group(&sums.zones, *top, |zone| Zone { zone }),
            marks: group(&sums.marks, *top, |mark| MarkValue { mark }),
            remaining: ranges(&sums.remaining),
            age: Age {
                known: sums.aged,
                ranges: if sums.aged > 0 {
                    ranges(&sums.age)
                } else {
                    Vec::new()
                },
            },
            would_free: Remedies {
                netns: evidence.netns.clone(),
                list: remedy::freeing(&census),
            },
            dump: dump(seen, context.filter),
        }
    }
}

fn dump(seen: &Seen, filter: &Filter) -> Dump {
    let Seen {
        outcome,
        before,
        after,
        ..
    } = seen;
    // What the kernel does not know it ignores, so that entries show it.
    let here: Vec<Criterion> = Criterion::ALL
        .into_iter()
        .zip(outcome.discarded)
        .filter(|&(_, discarded)| discarded > 0)
        .map(|(criterion, _)| criterion)
        .collect();
    Dump {
        seconds: seen.seconds,
        attempts: seen.attempts,
        entries_before: before.entries,
        entries_after: after.entries,
        resized: before.buckets != after.buckets,
        received: outcome.received,
        unreadable: outcome.unreadable,
        overruns: outcome.overruns,
        interrupted: outcome.interrupted,
        filtered_by_kernel: filter
            .criteria()
            .filter(|criterion| !here.contains(criterion))
            .collect(),
        filtered_here: here,
    }
}

fn place(address: Address, owners: &Owners) -> Place {
    Place {
        address,
        owner: owners.of(address).map(ToOwned::to_owned),
    }
}

fn service_name(service: Service, owners: &Owners) -> ServiceName {
    let Service {
        address,
        protocol,
        port,
    } = service;
    let [kind, code] = port.to_be_bytes();
    let icmp = is_icmp(protocol);
    ServiceName {
        place: place(address, owners),
        protocol: protocol_name(protocol),
        number: protocol,
        raw_port: port,
        port: has_ports(protocol).then_some(port),
        icmp_type: icmp.then_some(kind),
        icmp_code: icmp.then_some(code),
    }
}

fn group<K: Copy + Eq + std::hash::Hash + Ord, T>(
    hitters: &Hitters<K>,
    top: usize,
    name: impl Fn(K) -> T,
) -> Group<T> {
    let (rows, omitted) = hitters.top(top);
    Group {
        rows: rows
            .into_iter()
            .map(|(key, count)| row(name(key), count))
            .collect(),
        omitted,
        distinct: hitters.distinct(),
        error_bound: hitters.error_bound(),
    }
}

const fn row<T>(key: T, count: Count) -> Row<T> {
    let Count {
        entries,
        evictable,
        unreplied,
        idle,
    } = count;
    Row {
        key,
        entries,
        evictable,
        unreplied,
        idle_established: idle,
    }
}

fn owner_rows(sums: &Aggregate, owners: &Owners, top: usize) -> Vec<Row<OwnerName>> {
    let named = sums.owners.iter().filter_map(|(&index, &count)| {
        let owner = owners.name(index)?.to_owned();
        Some(row(OwnerName { owner }, count))
    });
    let mut rows: Vec<_> = named.collect();
    rows.sort_by(|a, b| (b.entries, &a.key.owner).cmp(&(a.entries, &b.key.owner)));
    rows.truncate(top);
    rows
}

fn state_rows(sums: &Aggregate) -> Vec<StateRow> {
    let mut states: Vec<(State, u64)> = sums.states.iter().map(|(&it, &n)| (it, n)).collect();
    states.sort_by_key(|&(state, entries)| (std::cmp::Reverse(entries), state));
    states
        .into_iter()
        .map(|(state, entries)| StateRow {
            protocol: protocol_name(state.protocol),
            state: Entry::state_name(state.protocol, state.state),
            progress: state.progress,
            entries,
        })
        .collect()
}

fn ranges(histogram: &Histogram) -> Vec<Range> {
    let ends = RANGES.into_iter().map(Some).chain([None]);
    ends.zip(histogram)
        .map(|(below, &entries)| Range { below, entries })
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share needs no more than 52 bits"
)]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
