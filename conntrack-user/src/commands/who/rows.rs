//! The rows of a table that was added up: keys, and what has each.

use serde::Serialize;

use crate::{
    say::protocol::{has_ports, is_icmp, protocol_name},
    table::{
        aggregate::{Aggregate, Histogram, RANGES, Service, State},
        entry::{Address, Entry, Progress},
        heavy_hitters::{Count, HeavyHitters},
        owners::Owners,
    },
};

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
    /// longer, less the part that a second look has found in use.
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

/// The name of a namespace.
#[derive(Debug)]
pub struct Name {
    /// Its name.
    pub name: String,
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
pub struct TimeRange {
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
    pub ranges: Vec<TimeRange>,
}

pub(super) fn place(address: Address, owners: &Owners) -> Place {
    Place {
        address,
        owner: owners.of(address).map(ToOwned::to_owned),
    }
}

pub(super) fn service_name(service: Service, owners: &Owners) -> ServiceName {
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

pub(super) fn group<K: Copy + Eq + std::hash::Hash + Ord, T>(
    hitters: &HeavyHitters<K>,
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

pub(super) fn owner_rows(sums: &Aggregate, owners: &Owners, top: usize) -> Vec<Row<OwnerName>> {
    let named = sums.owners.iter().filter_map(|(&index, &count)| {
        let owner = owners.name(index)?.to_owned();
        Some(row(OwnerName { owner }, count))
    });
    let mut rows: Vec<_> = named.collect();
    rows.sort_by(|a, b| (b.entries, &a.key.owner).cmp(&(a.entries, &b.key.owner)));
    rows.truncate(top);
    rows
}

pub(super) fn state_rows(sums: &Aggregate) -> Vec<StateRow> {
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

pub(super) fn ranges(histogram: &Histogram) -> Vec<TimeRange> {
    let ends = RANGES.into_iter().map(Some).chain([None]);
    ends.zip(histogram)
        .map(|(below, &entries)| TimeRange { below, entries })
        .collect()
}
