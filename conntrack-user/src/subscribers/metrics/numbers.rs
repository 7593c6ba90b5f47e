//! The numbers that are exported, as they add up from what the engine and the recorder
//! tell. All of it is bounded: a host with thousands of namespaces makes no more series.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    engine::{figures::Figures, limit::LimitInForce, report::Report, rows::Subject},
    incident::Kind,
    observe::{
        backend::Backend,
        counts::health::{Faults, Missed, RunsByProgram},
    },
    say::{
        protocol::{address, protocol_name},
        reason::{reason_name, reason_text},
    },
    subscribers::{
        filling::Filling,
        metrics::{
            export::Export,
            family::{Labels, label},
            owners::owners,
        },
        recording::What,
    },
};

/// How many namespaces have a counter of their own, by default.
pub const NAMESPACES: usize = 10;

/// The most that can be asked for, of namespaces and of flows.
pub const MOST: usize = 50;

/// How much is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cardinality {
    /// Namespaces with series of their own.
    pub namespaces: usize,
    /// Flows with the most refused packets of the last interval.
    pub top: usize,
    /// The most namespaces whose container or pod has its names exported.
    pub owners: usize,
}

impl Default for Cardinality {
    fn default() -> Self {
        Self {
            namespaces: NAMESPACES,
            top: 0,
            owners: 0,
        }
    }
}

/// Whether it observes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun.
    #[default]
    Starting,
    /// Conntrack is not loaded.
    Waiting,
    /// It does.
    Observing,
    /// It is over.
    Finished,
}

/// A namespace, and how much it has of something.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T> {
    /// What it is called.
    pub name: String,
    /// How much.
    pub value: T,
}

/// A flow with many refused packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopFlow {
    /// Labels, in order.
    pub labels: [(&'static str, String); 7],
    /// Packets refused since the start.
    pub packets: u64,
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Bytes of the database and its log of changes.
    pub bytes: Option<u64>,
    /// The most that they may take.
    pub limit: Option<u64>,
    /// Whether it cannot be written.
    pub failing: bool,
    /// Rows that had no room in memory.
    pub lost_rows: u64,
}

/// The limit in force, and after a boot and the like; none where it cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitAfter {
    /// A boot.
    pub boot: Option<u64>,
    /// A restart of a firewall service.
    pub restart: Option<u64>,
    /// A reload of the module.
    pub reload: Option<u64>,
}

/// The numbers that are exported.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Whether it observes.
    pub phase: Phase,
    /// By which backend.
    pub backend: Option<Backend>,
    /// Whether all programs are attached.
    pub armed: bool,
    /// Sums since the start, and what is said of the whole time.
    pub figures: Figures,
    /// Packets refused in namespaces that have a counter of their own, by inode.
    pub refused_in: BTreeMap<u32, Named<u64>>,
    /// In all others, and in those whose namespace is not known.
    pub refused_elsewhere: u64,
    /// The fullest tables.
    pub entries: Vec<Named<u64>>,
    /// Seconds until a table is full, of those that fill.
    pub full_in: Vec<Named<f64>>,
    /// The limit and the buckets.
    pub limit: Option<LimitInForce>,
    /// How often somebody has changed it.
    pub limit_changes: u64,
    /// What it will be.
    pub limit_after: Option<LimitAfter>,
    /// The kinds of open incidents, by number.
    pub incidents: BTreeMap<i64, Kind>,
    /// Incidents that were opened.
    pub incidents_opened: u64,
    /// Program runs that the kernel skipped.
    pub missed: Missed,
    /// How often each program ran, where the kernel counts it.
    pub runs: RunsByProgram,
    /// Errors inside the programs.
    pub faults: Faults,
    /// Packets by which a count of a flow may be too high.
    pub error_bound: u64,
    /// What was recorded.
    pub evidence: Evidence,
    /// The state of the export by OTLP, if there is one.
    pub export: Option<Export>,
    /// Fixes that `--fix` made.
    pub fixes: u64,
    /// The flows with the most refused packets of the last interval that had any.
    pub top: Vec<TopFlow>,
    /// The names of the containers and the pods of namespaces, as labels.
    pub owners: Vec<Labels>,
    /// The end of the last interval, in seconds since 1970.
    pub interval_end: Option<f64>,
}

impl Numbers {
    /// Takes in an interval.
    pub(super) fn add(&mut self, report: &Report, filling: &[Filling], bound: Cardinality) {
        self.phase = Phase::Observing;
        self.backend = Some(report.backend);
        self.armed = report.armed;
        self.add_by_netns(report, bound.namespaces);
        self.figures = self.figures.and(&report.figures);
        // Kept by reason and namespace, they would grow with each namespace that ever was.
        self.figures.by_netns.clear();
        self.figures.counts.clear();
        self.entries = fullest(report, bound.namespaces);
        let full_in = filling.iter().take(bound.namespaces).map(|filling| Named {
            name: label(&filling.name),
            value: filling.time.seconds,
        });
        self.full_in = full_in.collect();
        self.limit.clone_from(&report.limit);
        self.missed = report.missed;
        self.runs.clone_from(&report.runs);
        self.faults = report.faults;
        self.error_bound = report.error_bound;
        if bound.top == 0 {
            self.top.clear();
        } else if !report.flows.top.is_empty() {
            self.top = top(report, bound.top);
        }
        self.owners = owners(
            report,
            |inode| self.refused_in.contains_key(&inode),
            bound.owners.min(MOST),
        );
        self.interval_end = seconds(&report.time);
    }

    /// A namespace gets a counter of its own as long as there is room, and loses it when it
    /// is gone: a counter must not come and go, whatever is refused elsewhere.
    fn add_by_netns(&mut self, report: &Report, most: usize) {
        let found = &report.discovered;
        self.refused_in
            .retain(|&inode, _| found.by_inode(inode).is_some());
        let mut refused: Vec<(u32, u64)> = report
            .figures
            .by_netns
            .iter()
            .map(|(&inode, &packets)| (inode, packets))
            .filter(|&(_, packets)| packets > 0)
            .collect();
        refused.sort_by_key(|&(_, packets)| Reverse(packets));
        for (inode, packets) in refused {
            let name = label(&found.name_of(inode));
            let is_known = self.refused_in.contains_key(&inode);
            let has_room = self.refused_in.len() < most && found.by_inode(inode).is_some();
            if is_known || has_room {
                let named = self.refused_in.entry(inode);
                let named = named.or_insert_with(|| Named { name, value: 0 });
                named.value += packets;
            } else {
                self.refused_elsewhere += packets;
            }
        }
    }

    /// Takes in what the recorder reports.
    pub(super) fn record(&mut self, what: &What) {
        match what {
            What::Records { .. } => self.evidence.failing = false,
            What::Failing(_) => self.evidence.failing = true,
            What::Resumed { lost, .. } => {
                self.evidence.failing = false;
                self.evidence.lost_rows += lost;
            }
            What::Lost { rows, .. } => {
                self.evidence.failing = true;
                self.evidence.lost_rows += rows;
            }
            What::Opened(told) => {
                self.incidents_opened += 1;
                self.incidents.insert(told.id, told.incident.kind);
            }
            What::Diagnosed(told) | What::Grown(told) => {
                self.incidents.insert(told.id, told.incident.kind);
            }
            What::Closed(told) => {
                self.incidents.remove(&told.id);
            }
            What::Predicted(predicted) => {
                self.limit_after = Some(LimitAfter {
                    boot: predicted.boot,
                    restart: predicted.restart,
                    reload: predicted.reload,
                });
            }
            What::Gap(_)
            | What::Fixed { .. }
            | What::Filling(_)
            | What::Hooked(_)
            | What::Capture(_) => {}
        }
    }
}

/// The tables with the most entries, most first.
fn fullest(report: &Report, most: usize) -> Vec<Named<u64>> {
    let mut tables: Vec<(u32, u64)> = report
        .entries
        .iter()
        .map(|(&inode, &entries)| (inode, entries))
        .filter(|&(inode, entries)| {
            let found = &report.discovered;
            let is_host = found.by_inode(inode).is_some_and(|one| found.is_host(one));
            entries > 0 || is_host
        })
        .collect();
    tables.sort_by_key(|&(_, entries)| Reverse(entries));
    tables.truncate(most);
    let mut named: Vec<Named<u64>> = Vec::new();
    for (inode, value) in tables {
        let mut name = label(&report.discovered.name_of(inode));
        // Two series must not have the same labels.
        if named.iter().any(|one| one.name == name) {
            name = format!("net:[{inode}]");
        }
        named.push(Named { name, value });
    }
    named
}

/// The flows with the most refused packets.
fn top(report: &Report, most: usize) -> Vec<TopFlow> {
    let flows = report.flows.top.iter().filter_map(|row| {
        let Subject::Flow(key) = row.subject else {
            return None;
        };
        let labels = [
            ("netns", label(&report.discovered.name_of(key.netns))),
            ("reason", reason_text(key.reason)),
            ("protocol", protocol_name(key.protocol)),
            ("src", address(key.family, key.src).to_string()),
            ("sport", key.sport.to_string()),
            ("dst", address(key.family, key.dst).to_string()),
            ("dport", key.dport.to_string()),
        ];
        Some(TopFlow {
            labels,
            packets: row.total,
        })
    });
    let mut flows: Vec<TopFlow> = flows.take(most.min(MOST)).collect();
    // Flows that differ in zone or sender alone would be the same series.
    flows.sort_by(|one, other| one.labels.cmp(&other.labels));
    flows.dedup_by(|later, first| {
        let same = later.labels == first.labels;
        if same {
            first.packets += later.packets;
        }
        same
    });
    flows
}

fn seconds(time: &str) -> Option<f64> {
    let time = humantime::parse_rfc3339(time).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_secs_f64())
}

/// The reasons for which packets are lost, in the order of their names.
pub(super) fn refused_by_reason(figures: &Figures) -> BTreeMap<&'static str, u64> {
    let reasons = conntrack_ebpf::Reason::ALL.into_iter();
    let lost = reasons.filter(|reason| reason.is_drop());
    let mut refused: BTreeMap<&str, u64> = lost.map(|reason| (reason_name(reason), 0)).collect();
    for (&name, packets) in &figures.drops {
        *refused.entry(name).or_default() += packets;
    }
    refused
}
