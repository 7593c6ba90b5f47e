//! What a report on several hosts says, as plain data: this is its JSON form (docs/json.md).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::model::{Summary, Timeline};

/// A report on several hosts; docs/json.md.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fleet {
    /// `fleet_report`.
    pub r#type: &'static str,
    /// Version of ctdrop.
    pub version: String,
    /// When it was made.
    pub time: String,
    /// Whether addresses and names are masked.
    pub redacted: bool,
    /// Begin of the time that it covers.
    pub since: String,
    /// Its end.
    pub until: String,
    /// The three sentences.
    pub summary: Summary,
    /// Sums over all hosts.
    pub totals: Totals,
    /// The hosts, those with the most refused packets first.
    pub hosts: Vec<Host>,
    /// Databases that could not be read.
    pub unread: Vec<Unread>,
    /// Databases that were left out, because the evidence of their host is counted already.
    pub left_out: Vec<LeftOut>,
    /// Sources with entries in the tables of several hosts.
    pub sources: Vec<Shared>,
    /// Services with entries in the tables of several hosts.
    pub services: Vec<Shared>,
    /// Services whose packets several hosts refused.
    pub refused_services: Vec<Shared>,
    /// All incidents, in order of time.
    pub incidents: Vec<Incident>,
    /// Refused packets of all hosts.
    pub timeline: Timeline,
}

/// Sums over all hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Hosts.
    pub hosts: u64,
    /// Those that refused packets.
    pub hosts_refusing: u64,
    /// Packets refused.
    pub refused: u64,
    /// The same by reason.
    pub drops: BTreeMap<String, u64>,
    /// Packets without a flow of their own.
    pub unattributed: u64,
    /// Incidents.
    pub incidents: u64,
    /// Those that are open.
    pub open: u64,
}

/// A host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Host {
    /// Its name; with the directory where two hosts have the same.
    pub host: String,
    /// The directories or files that were read, that with the newest evidence first.
    pub from: Vec<String>,
    /// Release of its kernel.
    pub kernel: String,
    /// Packets refused.
    pub refused: u64,
    /// The same by reason.
    pub drops: BTreeMap<String, u64>,
    /// Whether that is exact.
    pub exact: bool,
    /// Seconds with evidence.
    pub covered: f64,
    /// Incidents.
    pub incidents: u64,
    /// The diagnosis of the one with the most refused packets.
    pub worst: Option<String>,
    /// The culprit of that incident.
    pub culprit: Option<String>,
    /// The time with the most refused packets.
    pub peak: Option<String>,
    /// Packets of the worst incident, and of the time in `peak`.
    #[serde(skip)]
    pub(super) most: (u64, u64),
    /// Whether another host here has the same name.
    #[serde(skip)]
    pub(in crate::report) is_namesake: bool,
}

/// A database that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// The directory or file.
    pub from: String,
    /// Why.
    pub why: String,
}

/// A database that was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The directory or file.
    pub from: String,
    /// The database that is counted instead.
    pub instead: String,
    /// Why: `same_file`, `copy` or `same_time`.
    pub code: &'static str,
    /// The same in words.
    pub why: String,
    /// Whether it may have evidence that the other one does not have.
    pub has_more: bool,
}

/// A source or a service that several hosts have seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// Who.
    pub key: String,
    /// On how many hosts.
    pub on: u64,
    /// What these are called, the first of them.
    pub hosts: Vec<String>,
    /// The most entries on each host, added up; or packets refused.
    pub count: u64,
}

/// An incident of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// The host.
    pub host: String,
    /// Its number there.
    pub incident: i64,
    /// The namespace whose table it is.
    pub netns_name: String,
    /// When it was opened.
    pub since: String,
    /// When it was closed; none while it is open.
    pub closed: Option<String>,
    /// Why it was closed. With `stopped`, `killed` and `reboot`, `closed` is the time of the last
    /// evidence of it.
    pub closed_by: Option<&'static str>,
    /// Packets refused.
    pub refused: u64,
    /// Its kind in words.
    pub kind_text: String,
    /// The first culprit, in words.
    pub culprit: Option<String>,
}
