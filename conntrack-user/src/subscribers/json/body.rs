//! The numbers of an interval, or of all.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    engine::{
        limit::{Fullest, LimitInForce},
        report::{NamespaceState, Report},
    },
    observe::{
        check::{counter::Growth, proof::PacketRange},
        counts::health::{Faults, Missed},
    },
    subscribers::json::{flows::Flows, groups::Groups},
};

/// The numbers of an interval, or of all.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    /// RFC 3339, at the end of the period.
    time: &'a str,
    /// Length of the period.
    seconds: f64,
    /// How many intervals it is about, if several.
    #[serde(skip_serializing_if = "Option::is_none")]
    intervals: Option<u64>,
    /// The backend.
    backend: String,
    /// Whether all its programs are attached, at this moment.
    armed: bool,
    /// Lost packets by reason.
    drops: &'a BTreeMap<&'static str, u64>,
    /// How many packets were lost, where only counters tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    drops_range: Option<PacketRange>,
    /// Entries killed to make room.
    evicted: u64,
    /// Clashes without a loss.
    clash_resolved: u64,
    /// Entries refused that no packet wanted.
    non_packet: u64,
    dropped_by_rule_or_refused: u64,
    /// Lost packets whose flow has no count of its own.
    unattributed: u64,
    /// The flows.
    flows: Flows<'a>,
    /// Flows left out of `flows`.
    flows_omitted: usize,
    /// Sums, if something else than flows is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Groups<'a>>,
    /// The namespaces in which most packets were lost.
    namespaces: Vec<Namespace>,
    /// How many more there are.
    namespaces_omitted: usize,
    /// The limit in force; none while conntrack is not loaded.
    limit: Option<&'a LimitInForce>,
    /// The namespaces with the most entries.
    fullest: &'a [Fullest],
    /// Growth of the kernel's counters over the period.
    kernel: &'a Growth,
    /// Program runs that the kernel skipped, since the start.
    missed: Missed,
    /// Errors inside the programs, since the start.
    faults: Faults,
    /// Counts that do not match the kernel's counters, since the start.
    unexplained: u64,
    /// Lost packets that no counter could be compared with, since the start.
    unchecked: u64,
    /// Whether `unexplained` is 0.
    reconciled: bool,
}

impl<'a> Body<'a> {
    pub(super) fn new(report: &'a Report) -> Self {
        let figures = &report.figures;
        Self {
            time: &report.time,
            seconds: report.length.as_secs_f64(),
            intervals: (report.intervals > 1).then_some(report.intervals),
            backend: report.backend.to_string(),
            armed: report.armed,
            drops: &figures.drops,
            drops_range: figures.range,
            evicted: figures.evicted,
            clash_resolved: figures.clash_resolved,
            non_packet: figures.non_packet,
            dropped_by_rule_or_refused: figures.rule_or_refused,
            unattributed: figures.unattributed,
            flows: Flows(report),
            flows_omitted: report.flows.more,
            groups: report
                .groups
                .as_ref()
                .map(|(by, rows)| Groups::new(*by, rows, &report.names)),
            namespaces: report.namespaces.iter().map(Namespace::new).collect(),
            namespaces_omitted: report.namespaces_omitted,
            limit: report.limit.as_ref(),
            fullest: &report.fullest,
            kernel: &figures.kernel,
            missed: report.missed,
            faults: report.faults,
            unexplained: figures.discrepancy.total(),
            unchecked: figures.unchecked,
            reconciled: figures.reconciled(),
        }
    }
}

/// A namespace in which packets were lost.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Namespace {
    /// Inode.
    netns: u32,
    /// Name.
    name: String,
    /// Packets lost in the period.
    drops: u64,
    /// Entries now; none if the namespace could not be entered.
    entries: Option<u64>,
    /// Its limit.
    max: Option<u64>,
}

impl Namespace {
    fn new(state: &NamespaceState) -> Self {
        Self {
            netns: state.netns,
            name: state.name.clone(),
            drops: state.drops,
            entries: state.limits.entries,
            max: state.limits.max,
        }
    }
}
