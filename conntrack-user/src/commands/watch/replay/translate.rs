//! From rows of the store to reports, as the engine makes them.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use conntrack_ebpf::{FlowCount, FlowKey, Reason};
use serde_json::Value;

use crate::{
    engine::{
        figures::Figures,
        limit::{Fullest, LimitChange, LimitInForce},
        names::Names,
        report::{NamespaceState, Report},
        rows::{Row, Rows, Subject, rows_by_netns},
    },
    kernel::{
        container::Container, defaults::Table, limits::Limits, netns::Namespaces, process::Process,
    },
    observe::{
        backend::Backend,
        check::proof::PacketRange,
        counts::health::{Faults, Missed, RunsByProgram},
    },
    say::{
        clock::Clock,
        protocol::protocol_number,
        reason::{OTHER, ReasonName, reason_name, reason_text},
    },
    store::{
        interval::{Flow, Interval},
        record::Namespace,
    },
};

/// How many namespaces of each kind a report names.
const NAMESPACES: usize = 10;

/// How many of the fullest ones.
const FULLEST: usize = 3;

/// What reports are made with.
#[derive(Debug)]
pub(super) struct Translator {
    namespaces: HashMap<i64, Namespace>,
}

/// What is said of the run that an interval is of.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) backend: Backend,
    pub(super) reconciled: bool,
    /// The last change of the limit.
    pub(super) changed: Option<LimitChange>,
}

impl Translator {
    pub(super) fn new(namespaces: Vec<Namespace>) -> Self {
        let each = namespaces.into_iter();
        Self {
            namespaces: each.map(|one| (one.netns, one)).collect(),
        }
    }

    /// The inode of a namespace, by its number.
    fn inode(&self, number: i64) -> u32 {
        self.namespaces.get(&number).map_or(0, |one| one.inode)
    }

    /// The inode of the last namespace that is called so; 0 if none is.
    pub(super) fn called(&self, name: &str) -> u32 {
        let named = self.namespaces.values().filter(|one| one.name == name);
        named.max_by_key(|one| one.netns).map_or(0, |one| one.inode)
    }

    fn name(&self, number: i64) -> String {
        let known = self.namespaces.get(&number);
        known.map_or_else(|| "unknown".to_owned(), |one| one.name.clone())
    }

    /// An interval as it was reported, with all rows that are recorded.
    pub(super) fn report(&self, interval: &Interval, context: &Context) -> Report {
        let monotonic = nanos(interval.at.mono);
        let limit = interval.limit.map(|(max, buckets)| LimitInForce {
            table: Table { buckets, max },
            changed: context.changed.clone(),
        });
        let flows = Rows {
            top: interval.flows.iter().map(|flow| self.row(flow)).collect(),
            more: usize::try_from(interval.rest_flows).unwrap_or(usize::MAX),
        };
        let lost = by_inode(interval, self, |table| Some(table.refused));
        let entries = by_inode(interval, self, |table| table.entries);
        let namespaces = self.states(interval);
        Report {
            time: interval.at.time(),
            monotonic,
            clock: Clock::at(interval.at.wall_clock(), monotonic),
            length: Duration::from_millis(interval.length),
            intervals: 1,
            top: interval.flows.len(),
            backend: context.backend,
            armed: interval.armed,
            names: self.names(interval),
            flows,
            groups: None,
            namespaces_omitted: namespaces.len().saturating_sub(NAMESPACES),
            namespaces: namespaces.into_iter().take(NAMESPACES).collect(),
            limit,
            fullest: self.fullest(interval),
            entries,
            discovered: Arc::new(Namespaces {
                list: Vec::new(),
                hidden: Vec::new(),
                contained: false,
                warnings: Vec::new(),
                is_whole: true,
            }),
            missed: Missed::default(),
            runs: RunsByProgram::default(),
            faults: Faults::default(),
            error_bound: 0,
            logged: None,
            figures: figures(interval, lost, context.reconciled),
        }
    }

    fn row(&self, flow: &Flow) -> Row {
        let key = &flow.key;
        let (family, src) = address(&key.src);
        let (_, dst) = address(&key.dst);
        Row {
            subject: Subject::Flow(FlowKey {
                src,
                dst,
                netns: self.inode(key.netns),
                sport: key.sport,
                dport: key.dport,
                zone: key.zone,
                family,
                protocol: protocol_number(&key.protocol).unwrap_or(0),
                reason: reason(&key.reason),
                sender: process(flow).map_or(0, |process| process.pid),
            }),
            count: FlowCount {
                packets: flow.packets,
                first: nanos(flow.first),
                last: nanos(flow.last),
            },
            total: flow.total,
        }
    }

    /// What namespaces and senders of an interval are called.
    pub(super) fn names(&self, interval: &Interval) -> Names {
        let flows = interval.flows.iter().map(|flow| flow.key.netns);
        let numbers = flows.chain(interval.tables.keys().copied());
        let processes = interval.flows.iter().filter_map(process);
        Names::new(
            numbers
                .map(|number| (self.inode(number), self.name(number)))
                .collect(),
            processes.map(|process| (process.pid, process)).collect(),
        )
    }

    /// The namespaces in which packets were lost, most first.
    fn states(&self, interval: &Interval) -> Vec<NamespaceState> {
        let lost = interval
            .tables
            .iter()
            .filter(|(_, table)| table.refused > 0);
        let states = lost.map(|(&number, table)| NamespaceState {
            netns: self.inode(number),
            name: self.name(number),
            drops: table.refused,
            limits: Limits {
                max: interval.limit.map(|(max, _)| max),
                buckets: interval.limit.map(|(_, buckets)| buckets),
                entries: table.entries,
            },
        });
        let mut states: Vec<NamespaceState> = states.collect();
        states.sort_by_key(|state| std::cmp::Reverse(state.drops));
        states
    }

    fn fullest(&self, interval: &Interval) -> Vec<Fullest> {
        let tables = interval.tables.iter().filter_map(|(&number, table)| {
            Some(Fullest {
                netns: self.inode(number),
                name: self.name(number),
                entries: table.entries.filter(|&entries| entries > 0)?,
            })
        });
        let mut fullest: Vec<Fullest> = tables.collect();
        fullest.sort_by_key(|one| std::cmp::Reverse(one.entries));
        fullest.truncate(FULLEST);
        fullest
    }
}

/// The namespaces of a longer time in which packets were lost, as they were last seen.
pub(super) fn namespaces(
    lost: &BTreeMap<u32, u64>,
    seen: &HashMap<u32, NamespaceState>,
) -> (Vec<NamespaceState>, usize) {
    let rows = rows_by_netns(lost, NAMESPACES);
    let states = rows.top.iter().filter_map(|row| match row.subject {
        Subject::Netns(netns) => Some(NamespaceState {
            drops: row.count.packets,
            ..seen.get(&netns)?.clone()
        }),
        _ => None,
    });
    (states.collect(), rows.more)
}

fn figures(interval: &Interval, by_netns: BTreeMap<u32, u64>, reconciled: bool) -> Figures {
    let known = Reason::ALL.into_iter().filter(|reason| reason.is_drop());
    let names = known.map(reason_name).chain([OTHER]);
    let mut drops: BTreeMap<&'static str, u64> = names.map(|name| (name, 0)).collect();
    for ((_, name), packets) in &interval.drops {
        let name = ReasonName::find(name).map_or(OTHER, ReasonName::as_str);
        *drops.entry(name).or_default() += packets;
    }
    Figures {
        drops,
        evicted: interval.evicted,
        clash_resolved: interval.clash_resolved,
        non_packet: interval.non_packet,
        rule_or_refused: interval.rule_or_refused,
        unattributed: interval.unattributed,
        range: interval
            .range
            .map(|(at_least, at_most)| PacketRange { at_least, at_most }),
        by_netns,
        flows: interval.new_flows,
        recorded: Some(reconciled),
        ..Figures::default()
    }
}

fn by_inode(
    interval: &Interval,
    translator: &Translator,
    of: impl Fn(&crate::store::interval::Table) -> Option<u64>,
) -> BTreeMap<u32, u64> {
    let mut sums: BTreeMap<u32, u64> = BTreeMap::new();
    for (&number, table) in &interval.tables {
        if let Some(amount) = of(table) {
            *sums.entry(translator.inode(number)).or_default() += amount;
        }
    }
    sums
}

/// The process that has sent a flow's packets.
fn process(flow: &Flow) -> Option<Process> {
    let known: Value = serde_json::from_str(flow.key.sender.as_deref()?).ok()?;
    let text = |key: &str| known[key].as_str().map(ToOwned::to_owned);
    let cgroup = text("cgroup");
    // Evidence of an earlier version may not have it.
    let of_group = |path: &String| Container::from_cgroup(&format!("0::{path}"));
    let container = serde_json::from_value(known["container"].clone()).ok();
    Some(Process {
        pid: u32::try_from(known["pid"].as_u64()?).ok()?,
        comm: text("comm")?,
        container: container.or_else(|| cgroup.as_ref().and_then(of_group)),
        unit: text("unit"),
        cgroup,
    })
}

/// The family of an address, and the address as the maps hold it.
fn address(text: &str) -> (u8, [u8; 16]) {
    let mut bytes = [0; 16];
    let family = match text.parse() {
        Ok(IpAddr::V4(address)) => {
            bytes[..4].copy_from_slice(&address.octets());
            libc::AF_INET
        }
        Ok(IpAddr::V6(address)) => {
            bytes = address.octets();
            libc::AF_INET6
        }
        Err(_) => libc::AF_UNSPEC,
    };
    (u8::try_from(family).unwrap_or(0), bytes)
}

/// The number of a reason: the first of those that share the name.
fn reason(name: &str) -> u32 {
    let unnamed = || name.strip_prefix("reason#")?.parse().ok();
    let known = Reason::ALL.into_iter().map(|reason| reason as u32);
    let mut known = known.filter(|&number| reason_text(number) == name);
    known.next().or_else(unnamed).unwrap_or(u32::MAX)
}

/// Milliseconds as nanoseconds; a time that is known is never 0.
fn nanos(millis: i64) -> u64 {
    millis.unsigned_abs().saturating_mul(1_000_000).max(1)
}
