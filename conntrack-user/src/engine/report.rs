//! A report: everything that is said about an interval, or about all, in
//! whatever form.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    engine::{
        by::By,
        figures::Figures,
        limit::{Fullest, LimitInForce},
        names::Names,
        rows::{Period, Row, Rows, Subject, rows, rows_by_netns},
        select::Select,
    },
    kernel::{limits::Limits, netns::Namespaces},
    observe::{
        backend::Backend,
        counts::{
            health::{Faults, Missed, RunsByProgram},
            tally::Tally,
        },
        observer::{log::Logged, snapshot::Snapshot},
    },
    say::clock::{self, Clock},
};

/// How many namespaces a report reads the limits of.
const NAMESPACES: usize = 10;

/// What is said about a period.
#[derive(Clone, Debug)]
pub struct Report {
    /// When the period was over: RFC 3339.
    pub time: String,
    /// The same by `CLOCK_MONOTONIC`, in nanoseconds.
    pub monotonic: u64,
    /// Turns the times of rows into wall-clock time.
    pub clock: Clock,
    /// Length of the period.
    pub length: Duration,
    /// How many intervals it is about: several, if a reader did not take them in
    /// time; then rows that one of them has left out lack its packets. 1 also for
    /// the totals.
    pub intervals: u64,
    /// How many rows were asked for.
    pub top: usize,
    /// The backend.
    pub backend: Backend,
    /// Whether refusals are seen as well as the backend can see them, at this moment.
    pub armed: bool,
    /// The numbers.
    pub figures: Figures,
    /// The flows with the most packets.
    pub flows: Rows,
    /// Sums, if something else than flows is asked for.
    pub groups: Option<(By, Rows)>,
    /// What namespaces and processes of the rows are called.
    pub names: Names,
    /// The namespaces in which most packets were lost.
    pub namespaces: Vec<NamespaceState>,
    /// How many more there are.
    pub namespaces_omitted: usize,
    /// The limit in force; none if conntrack is not loaded.
    pub limit: Option<LimitInForce>,
    /// The namespaces with the most entries, most first, of those that are observed.
    pub fullest: Vec<Fullest>,
    /// The entries of each namespace that is observed, as of the last check.
    pub entries: BTreeMap<u32, u64>,
    /// The namespaces of this host, as last discovered.
    pub discovered: Arc<Namespaces>,
    /// Program runs that the kernel skipped.
    pub missed: Missed,
    /// How often each program ran since the start, where the kernel counts it.
    pub runs: RunsByProgram,
    /// Errors inside the programs.
    pub faults: Faults,
    /// See [`Tally::error_bound`].
    pub error_bound: u64,
    /// What the kernel log has said since the start, where it is read.
    pub logged: Option<Logged>,
}

/// A namespace in which packets were lost.
#[derive(Clone, Debug)]
pub struct NamespaceState {
    /// Inode.
    pub netns: u32,
    /// Name.
    pub name: String,
    /// Packets lost in the period.
    pub drops: u64,
    /// Its entries and limit now; nothing if it could not be entered.
    pub limits: Limits,
}

/// What a report is to be about.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a> {
    /// The filters.
    pub select: &'a Select,
    /// What the rows are.
    pub by: By,
    /// How many rows.
    pub top: usize,
    /// Which packets.
    pub period: Period,
    /// When the period began.
    pub since: Instant,
    /// When it ended.
    pub taken: Taken,
    /// The numbers of the period.
    pub figures: Figures,
    /// The limit in force.
    pub limit: Option<LimitInForce>,
}

/// When numbers were taken, by each clock: the next period begins at that very moment.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// For the length of periods.
    pub instant: Instant,
    /// RFC 3339.
    time: String,
    /// As [`Report::monotonic`].
    monotonic: u64,
    clock: Clock,
}

impl Taken {
    /// Now.
    pub(super) fn now() -> Self {
        Self {
            instant: Instant::now(),
            time: clock::now(),
            monotonic: clock::monotonic(),
            clock: Clock::now(),
        }
    }
}

impl Report {
    /// Collects it.
    pub(super) fn collect(snapshot: &Snapshot, tally: &Tally, asked: Asked<'_>) -> Self {
        let Asked {
            select,
            by,
            top,
            period,
            since,
            taken,
            figures,
            limit,
        } = asked;
        let namespaces = rows_by_netns(&figures.by_netns, NAMESPACES);
        let groups = match by {
            By::Flow => None,
            // The totals cover all protocols and addresses, and only lost packets.
            By::Netns if !select.chooses_flows() => Some(rows_by_netns(&figures.by_netns, top)),
            _ => Some(rows(tally, select, by, period, top)),
        };
        let flows = rows(tally, select, By::Flow, period, top);
        let all_rows = std::iter::once(&flows).chain(groups.as_ref());
        Self {
            length: taken.instant.saturating_duration_since(since),
            time: taken.time,
            monotonic: taken.monotonic,
            clock: taken.clock,
            intervals: 1,
            top,
            backend: snapshot.backend,
            armed: snapshot.armed,
            names: Names::of(snapshot, all_rows),
            flows,
            groups: groups.map(|rows| (by, rows)),
            namespaces: namespaces
                .top
                .iter()
                .filter_map(|row| namespace(&snapshot.namespaces, row))
                .collect(),
            namespaces_omitted: namespaces.more,
            limit,
            fullest: Fullest::of(snapshot, |netns| select.netns(netns)),
            entries: snapshot
                .entries
                .iter()
                .filter(|&(&netns, _)| select.netns(netns))
                .map(|(&netns, &entries)| (netns, entries))
                .collect(),
            discovered: Arc::clone(&snapshot.namespaces),
            missed: snapshot.missed,
            runs: snapshot.runs.clone(),
            faults: snapshot.faults,
            error_bound: tally.error_bound(),
            logged: snapshot.logged,
            figures,
        }
    }

    /// This report on an interval and the one on the next in one.
    pub(super) fn merged(&self, later: &Self) -> Self {
        let top = self.top.max(later.top);
        let mut names = self.names.clone();
        names.join(&later.names);
        let figures = self.figures.and(&later.figures);
        Self {
            length: self.length + later.length,
            intervals: self.intervals + later.intervals,
            top,
            flows: self.flows.merged(&later.flows, top),
            groups: match (&self.groups, &later.groups) {
                (Some((by, rows)), Some((_, more))) => Some((*by, rows.merged(more, top))),
                (_, groups) => groups.clone(),
            },
            names,
            namespaces: later.namespaces_with(&figures.by_netns),
            figures,
            ..later.clone()
        }
    }

    /// The namespaces of this report, with the packets lost in a longer period.
    fn namespaces_with(&self, lost: &BTreeMap<u32, u64>) -> Vec<NamespaceState> {
        self.namespaces
            .iter()
            .map(|state| NamespaceState {
                drops: lost.get(&state.netns).copied().unwrap_or(state.drops),
                ..state.clone()
            })
            .collect()
    }
}

fn namespace(namespaces: &Namespaces, row: &Row) -> Option<NamespaceState> {
    let Subject::Netns(netns) = row.subject else {
        return None;
    };
    let limits = namespaces
        .by_inode(netns)
        .and_then(|namespace| namespace.limits().ok());
    Some(NamespaceState {
        netns,
        name: namespaces.name_of(netns),
        drops: row.count.packets,
        limits: limits.unwrap_or_default(),
    })
}
