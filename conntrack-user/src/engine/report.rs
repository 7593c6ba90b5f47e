//! A report: everything that is said about an interval, or about all, in
//! whatever form.

use std::time::Duration;

use crate::{
    engine::{
        by::By,
        figures::Figures,
        rows::{Period, Row, Rows, Subject, rows, rows_by_netns},
        select::Select,
    },
    kernel::{limits::Limits, netns::Namespaces},
    observe::{
        backend::Backend,
        counts::{
            health::{Faults, Missed},
            tally::Tally,
        },
        observer::{log::Logged, snapshot::Snapshot},
    },
};

/// How many namespaces a report looks into.
const NAMESPACES: usize = 10;

/// What is said about a period.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its length.
    pub period: Duration,
    /// The rung.
    pub backend: Backend,
    /// The numbers.
    pub figures: Figures,
    /// The flows with the most packets.
    pub flows: Rows,
    /// Sums, if something else than flows is asked for.
    pub groups: Option<(By, Rows)>,
    /// The namespaces in which most packets were lost.
    pub namespaces: Vec<NamespaceState>,
    /// How many more there are.
    pub namespaces_omitted: usize,
    /// Program runs that the kernel skipped.
    pub missed: Missed,
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
pub struct Asked<'a> {
    /// The filters.
    pub select: &'a Select,
    /// What the rows are.
    pub by: By,
    /// How many rows.
    pub top: usize,
    /// Which packets.
    pub period: Period,
    /// How long the period was.
    pub length: Duration,
    /// The numbers of the period.
    pub figures: Figures,
}

impl Report {
    /// Collects it.
    pub fn collect(snapshot: &Snapshot, tally: &Tally, asked: Asked<'_>) -> Self {
        let Asked {
            select,
            by,
            top,
            period,
            length,
            figures,
        } = asked;
        let namespaces = rows_by_netns(&figures.by_netns, NAMESPACES);
        let groups = match by {
            By::Flow => None,
            // The totals know no protocol, and are of lost packets.
            By::Netns if select.protocol.is_none() && select.reasons.is_empty() => {
                Some(rows_by_netns(&figures.by_netns, top))
            }
            _ => Some(rows(tally, select, by, period, top)),
        };
        Self {
            period: length,
            backend: snapshot.backend,
            flows: rows(tally, select, By::Flow, period, top),
            groups: groups.map(|rows| (by, rows)),
            namespaces: namespaces
                .top
                .iter()
                .filter_map(|row| namespace(&snapshot.namespaces, row))
                .collect(),
            namespaces_omitted: namespaces.more,
            missed: snapshot.missed,
            faults: snapshot.faults,
            error_bound: tally.error_bound(),
            logged: snapshot.logged,
            figures,
        }
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
