//! The lines of `ctdrop who -o json`, as far as tests read them.

use std::net::IpAddr;

use serde::Deserialize;

/// The line about a namespace, as far as tests read it.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) netns: u64,
    pub(super) name: String,
    pub(super) entries: u64,
    pub(super) incident: Incident,
    pub(super) evictable: Evictable,
    pub(super) evictable_share: Option<f64>,
    pub(super) idle_established: u64,
    pub(super) sources: Group,
    pub(super) services: Group,
    pub(super) would_free: Vec<Measure>,
    pub(super) age: Age,
    pub(super) dump: Dump,
}

#[derive(Debug, Deserialize)]
pub(super) struct Incident {
    pub(super) kind: String,
    pub(super) filling: Filling,
    pub(super) culprit: Option<Culprit>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Filling {
    pub(super) kind: String,
    pub(super) entries: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Culprit {
    pub(super) source: Option<Row>,
    pub(super) service: Option<Row>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Evictable {
    pub(super) early_drop: u64,
    pub(super) collector: u64,
    pub(super) nobody: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Group {
    pub(super) rows: Vec<Row>,
    pub(super) distinct: u64,
    pub(super) error_bound: u64,
}

/// A row, or a culprit.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) address: IpAddr,
    pub(super) protocol: Option<String>,
    pub(super) port: Option<u16>,
    #[serde(default)]
    pub(super) entries: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Measure {
    pub(super) code: String,
    pub(super) what: String,
    pub(super) entries: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Age {
    pub(super) known: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dump {
    pub(super) entries_before: u64,
    pub(super) entries_after: u64,
    pub(super) received: u64,
    pub(super) unreadable: u64,
    pub(super) filtered_by_kernel: Vec<String>,
    pub(super) filtered_here: Vec<String>,
}
