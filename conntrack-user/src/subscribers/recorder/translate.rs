//! From the engine's reports to rows of the store.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use conntrack_ebpf::Reason;

use crate::{
    engine::{
        report::Report,
        rows::{Row, Subject},
    },
    say::{
        protocol::{address, protocol_name},
        reason::{OTHER, reason_name, reason_text},
    },
    store::{
        interval::{FLOWS, Flow, FlowKey, Interval, Table},
        moment::Moment,
    },
    subscribers::recorder::directory::Directory,
};

/// How many tables are kept of an interval, besides those in which something happened:
/// those with the most entries.
const TABLES: usize = 16;

/// A length of time in milliseconds.
pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// A report as it is kept.
pub(super) fn interval(report: &Report, at: Moment, directory: &mut Directory) -> Interval {
    let figures = &report.figures;
    let mut number = |inode| directory.number(inode, &report.discovered, at);
    let flows = report.flows.top.iter().take(FLOWS);
    let flows: Vec<Flow> = flows
        .filter_map(|row| flow(row, report, &mut number))
        .collect();
    let omitted = report.flows.top.len() + report.flows.more - flows.len();
    Interval {
        at,
        length: millis(report.length),
        refused: figures.total(),
        range: figures.range.map(|range| (range.at_least, range.at_most)),
        evicted: figures.evicted,
        clash_resolved: figures.clash_resolved,
        non_packet: figures.non_packet,
        rule_or_refused: figures.rule_or_refused,
        unattributed: figures.unattributed,
        new_flows: figures.flows,
        rest_flows: u64::try_from(omitted).unwrap_or(u64::MAX),
        limit: report
            .limit
            .as_ref()
            .map(|limit| (limit.table.max, limit.table.buckets)),
        armed: report.armed,
        drops: drops(report, &mut number),
        tables: tables(report, &mut number),
        flows,
    }
}

/// Packets lost by namespace and reason: what the counts of namespaces do not have is of
/// an unknown one.
fn drops(report: &Report, number: &mut impl FnMut(u32) -> i64) -> BTreeMap<(i64, String), u64> {
    let figures = &report.figures;
    let mut rest = figures.drops.clone();
    let mut drops: BTreeMap<(i64, String), u64> = BTreeMap::new();
    for (&(netns, reason), &packets) in &figures.counts {
        let name = reason_name(reason);
        if reason.is_drop() && packets > 0 {
            *drops.entry((number(netns), name.to_owned())).or_default() += packets;
            let rest = rest.entry(name).or_default();
            *rest = rest.saturating_sub(packets);
        }
    }
    for (name, packets) in rest.into_iter().filter(|(_, packets)| *packets > 0) {
        *drops.entry((number(0), name.to_owned())).or_default() += packets;
    }
    drops
}

/// What happened in each namespace that matters.
fn tables(report: &Report, number: &mut impl FnMut(u32) -> i64) -> BTreeMap<i64, Table> {
    let mut tables: BTreeMap<u32, Table> = BTreeMap::new();
    let mut fullest: Vec<(u32, u64)> = report.entries.clone().into_iter().collect();
    fullest.sort_by_key(|&(_, entries)| Reverse(entries));
    for (netns, entries) in fullest.into_iter().take(TABLES) {
        if entries > 0 {
            tables.entry(netns).or_default();
        }
    }
    for (&netns, &packets) in report
        .figures
        .by_netns
        .iter()
        .filter(|(_, packets)| **packets > 0)
    {
        tables.entry(netns).or_default().refused = packets;
    }
    for (&(netns, reason), &entries) in &report.figures.counts {
        if reason == Reason::Evicted && entries > 0 {
            tables.entry(netns).or_default().evicted = entries;
        }
    }
    let numbered = tables.into_iter().map(|(netns, table)| {
        let entries = report.entries.get(&netns).copied();
        let most = entries;
        (
            number(netns),
            Table {
                entries,
                most,
                ..table
            },
        )
    });
    numbered.collect()
}

fn flow(row: &Row, report: &Report, number: &mut impl FnMut(u32) -> i64) -> Option<Flow> {
    let Subject::Flow(key) = row.subject else {
        return None;
    };
    let sender = report.names.process(key.sender);
    let millis = |nanos: u64| i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX);
    Some(Flow {
        key: FlowKey {
            netns: number(key.netns),
            reason: reason_text(key.reason),
            zone: key.zone,
            protocol: protocol_name(key.protocol),
            src: address(key.family, key.src).to_string(),
            sport: key.sport,
            dst: address(key.family, key.dst).to_string(),
            dport: key.dport,
            sender: sender.and_then(|sender| serde_json::to_string(sender).ok()),
        },
        packets: row.count.packets,
        total: row.total,
        first: millis(row.count.first),
        last: millis(row.count.last),
    })
}

/// The packets that nothing explains, if there are any.
pub(super) fn unexplained(report: &Report) -> u64 {
    report.figures.drops.get(OTHER).copied().unwrap_or(0)
}
