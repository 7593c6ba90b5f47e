//! What an interval has shown of each namespace, for the diagnosis.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;

use crate::{
    engine::report::Report,
    incident::{Evidence, Netns},
    kernel::counters::Totals,
    observe::{backend::Backend, check::counter::Counter},
    subscribers::recorder::translate,
};

/// The evidence of each namespace of which anything is known.
pub(in crate::subscribers) fn of(report: &Report) -> Vec<Evidence> {
    let mut refused: BTreeMap<u32, BTreeMap<Reason, u64>> = BTreeMap::new();
    for (&(netns, reason), &packets) in &report.figures.counts {
        if reason.is_drop() && packets > 0 {
            refused.entry(netns).or_default().insert(reason, packets);
        }
    }
    let mut by_counters = by_counters(report);
    // No program saw these: `drop` and `insert_failed` moved together somewhere, which a
    // source NAT without a free port does, too.
    if let Some(of_unknown) = refused.get(&0)
        && of_unknown.keys().eq([&Reason::Clash])
        && let Some(reasons) = refused.remove(&0)
    {
        let packets: u64 = reasons.values().sum();
        let totals = by_counters.entry(0).or_default();
        totals.drop = Some(totals.drop.unwrap_or(0) + packets);
        totals.insert_failed = Some(packets);
    }
    let inodes = report
        .entries
        .keys()
        .chain(refused.keys())
        .chain(by_counters.keys());
    let mut inodes: Vec<u32> = inodes.copied().collect();
    inodes.sort_unstable();
    inodes.dedup();
    let each = inodes.into_iter().map(|inode| Evidence {
        netns: called(inode, report),
        entries: report.entries.get(&inode).copied(),
        max: report.limit.as_ref().map(|limit| limit.table.max),
        growth: by_counters.get(&inode).copied(),
        refused: refused.get(&inode).cloned().unwrap_or_default(),
        dropped_before: 0,
        lacks_counters: false,
    });
    each.collect()
}

/// What only counters show: with their backend all of it, by namespace; else what no
/// program has seen, of an unknown one.
fn by_counters(report: &Report) -> BTreeMap<u32, Totals> {
    let figures = &report.figures;
    if report.backend != Backend::Counters {
        let unexplained = translate::unexplained(report);
        let totals = Totals {
            drop: Some(unexplained),
            ..Totals::default()
        };
        return (unexplained > 0)
            .then_some((0, totals))
            .into_iter()
            .collect();
    }
    let lost = figures.by_netns.iter().filter(|(_, packets)| **packets > 0);
    let of_one = lost.clone().count() == 1;
    // The other counters are known of all namespaces together.
    let counter = |counter| figures.kernel.get(&counter).copied().filter(|_| of_one);
    let totals = lost.map(|(&netns, &packets)| {
        let totals = Totals {
            drop: Some(packets),
            insert_failed: counter(Counter::InsertFailed),
            chaintoolong: counter(Counter::ChainTooLong),
            ..Totals::default()
        };
        (netns, totals)
    });
    totals.collect()
}

fn called(inode: u32, report: &Report) -> Netns {
    let found = &report.discovered;
    match found.by_inode(inode) {
        Some(namespace) => Netns::of(namespace, found.is_host(namespace)),
        None => Netns {
            inode: Some(inode),
            name: found.name_of(inode),
            ..Netns::default()
        },
    }
}
