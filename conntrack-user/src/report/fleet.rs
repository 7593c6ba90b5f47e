//! A report on several hosts, merged from the report of each host.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde::Serialize;

use crate::{
    report::{
        model::{Event, Lane, Point, Report, Summary, Timeline},
        redact::{self, Mask},
    },
    say::number::{counted, counted_entries, number},
};

/// The most sources, and the most services, that are listed.
const SHARED: usize = 50;

/// The most hosts that are named for each of them.
const NAMED: usize = 20;

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
    /// The directory or file that was read.
    pub from: String,
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
}

/// A database that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// The directory or file.
    pub from: String,
    /// Why.
    pub why: String,
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
    /// Packets refused.
    pub refused: u64,
    /// Its kind in words.
    pub kind_text: String,
    /// The first culprit, in words.
    pub culprit: Option<String>,
}

/// Counts by source or service, then by host.
type Seen = BTreeMap<String, BTreeMap<String, u64>>;

/// Merges reports on the same time, with points of the same length.
#[derive(Debug, Default)]
pub struct Merger {
    fleet: Fleet,
    points: BTreeMap<i64, Point>,
    sources: Seen,
    services: Seen,
    refused_services: Seen,
    names: BTreeSet<String>,
}

impl Merger {
    /// Adds the report of a host, which is masked already if there is a mask.
    pub fn add(&mut self, from: &str, report: &Report, mask: Option<&mut Mask>) {
        let mut from = from.to_owned();
        if let Some(mask) = mask {
            redact::path(&mut from, mask);
        }
        let name = self.name(report, &from);
        self.add_totals(report);
        self.add_points(&report.timeline, &name);
        self.add_seen(report, &name);
        for incident in &report.incidents {
            self.fleet.incidents.push(Incident {
                host: name.clone(),
                incident: incident.incident,
                netns_name: incident.netns_name.clone(),
                since: incident.since.clone(),
                closed: incident.closed.clone(),
                refused: incident.refused,
                kind_text: incident.kind_text.clone(),
                culprit: incident.culprit.clone(),
            });
        }
        self.fleet.hosts.push(host(name, from, report));
    }

    /// Adds a database that could not be read.
    pub fn add_unread(&mut self, from: &str, why: &str, mask: Option<&mut Mask>) {
        let mut unread = Unread {
            from: from.to_owned(),
            why: why.to_owned(),
        };
        if let Some(mask) = mask {
            // The reason names the file.
            redact::path(&mut unread.from, mask);
            "the reason is left out, because it may have names in it".clone_into(&mut unread.why);
        }
        self.fleet.unread.push(unread);
    }

    /// The name of a host in this report.
    fn name(&mut self, report: &Report, from: &str) -> String {
        let last = report.hosts.last();
        let name = last.map_or_else(|| from.to_owned(), |host| host.host.clone());
        let name = if self.names.contains(&name) {
            format!("{name} ({from})")
        } else {
            name
        };
        self.names.insert(name.clone());
        name
    }

    fn add_totals(&mut self, report: &Report) {
        let totals = &mut self.fleet.totals;
        totals.hosts += 1;
        totals.hosts_refusing += u64::from(report.victims.refused > 0);
        totals.refused += report.victims.refused;
        totals.unattributed += report.victims.unattributed;
        totals.incidents += report.incidents.len() as u64;
        let open = report.incidents.iter().filter(|one| one.closed.is_none());
        totals.open += open.count() as u64;
        for (reason, packets) in &report.timeline.drops {
            *totals.drops.entry(reason.clone()).or_default() += packets;
        }
    }

    fn add_points(&mut self, timeline: &Timeline, name: &str) {
        self.fleet.timeline.wall = timeline.wall;
        self.fleet.timeline.point_seconds = timeline.point_seconds;
        for point in &timeline.points {
            let sum = self.points.entry(point.wall).or_insert_with(|| Point {
                time: point.time.clone(),
                wall: point.wall,
                ..Point::default()
            });
            sum.refused += point.refused;
            sum.evicted += point.evicted;
            for (reason, packets) in &point.drops {
                *sum.drops.entry(reason.clone()).or_default() += packets;
            }
        }
        let events = timeline.events.iter();
        let incidents = events.filter(|event| event.kind == Lane::Incident);
        self.fleet
            .timeline
            .events
            .extend(incidents.map(|event| Event {
                text: format!("{name}: {}", event.text),
                ..event.clone()
            }));
    }

    fn add_seen(&mut self, report: &Report, name: &str) {
        for census in &report.censuses {
            for (seen, rows) in [
                (&mut self.sources, &census.sources),
                (&mut self.services, &census.services),
            ] {
                for row in rows {
                    let most = seen.entry(row.key.clone()).or_default();
                    let most = most.entry(name.to_owned()).or_default();
                    *most = row.entries.max(*most);
                }
            }
        }
        for service in &report.victims.services {
            let key = format!("{} {}:{}", service.protocol, service.dst, service.dport);
            let of = self.refused_services.entry(key).or_default();
            *of.entry(name.to_owned()).or_default() += service.packets;
        }
    }

    /// The report: made at that time, about a time from and to.
    pub fn finish(self, now: &str, (since, until): (String, String), redacted: bool) -> Fleet {
        let mut fleet = self.fleet;
        fleet.hosts.sort_by_key(|host| Reverse(host.refused));
        fleet
            .incidents
            .sort_by(|one, other| one.since.cmp(&other.since));
        fleet.timeline.points = self.points.into_values().collect();
        fleet.timeline.drops.clone_from(&fleet.totals.drops);
        fleet.timeline.events.sort_by_key(|event| event.wall);
        let mut fleet = Fleet {
            r#type: "fleet_report",
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: now.to_owned(),
            redacted,
            since,
            until,
            sources: shared(self.sources),
            services: shared(self.services),
            refused_services: shared(self.refused_services),
            ..fleet
        };
        fleet.summary = summary(&fleet);
        fleet
    }
}

impl Fleet {
    /// The parts that a report on one host has too: the summary and the timeline.
    pub(super) fn as_report(&self) -> Report {
        Report {
            summary: self.summary.clone(),
            timeline: self.timeline.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            ..Report::default()
        }
    }
}

fn host(name: String, from: String, report: &Report) -> Host {
    let worst = report.incidents.iter().max_by_key(|one| one.refused);
    let points = report.timeline.points.iter();
    let peak = points.filter(|point| point.refused > 0);
    let peak = peak.max_by_key(|point| point.refused);
    let last = report.hosts.last();
    Host {
        host: name,
        from,
        kernel: last.map(|host| host.kernel.clone()).unwrap_or_default(),
        refused: report.victims.refused,
        drops: report.timeline.drops.clone(),
        exact: report.method.exact,
        covered: report.method.covered,
        incidents: report.incidents.len() as u64,
        worst: worst.map(|one| one.kind_text.clone()),
        culprit: worst.and_then(|one| one.culprit.clone()),
        peak: peak.map(|point| point.time.clone()),
    }
}

/// Those that more than one host has seen, those on the most hosts first.
fn shared(seen: Seen) -> Vec<Shared> {
    let several = seen.into_iter().filter(|(_, by_host)| by_host.len() > 1);
    let mut shared: Vec<Shared> = several
        .map(|(key, by_host)| Shared {
            key,
            on: by_host.len() as u64,
            count: by_host.values().sum(),
            hosts: by_host.into_keys().take(NAMED).collect(),
        })
        .collect();
    shared.sort_by_key(|one| Reverse((one.on, one.count)));
    shared.truncate(SHARED);
    shared
}

fn summary(fleet: &Fleet) -> Summary {
    let totals = &fleet.totals;
    let is_exact = fleet.hosts.iter().all(|host| host.exact) && fleet.unread.is_empty();
    let how = if is_exact { "exactly" } else { "at least" };
    let unread = match fleet.unread.len() as u64 {
        0 => String::new(),
        some => format!("; {} could not be read", counted(some, "database")),
    };
    let who = fleet.sources.first().or(fleet.services.first());
    let who = who.map_or_else(
        || "ctdrop saw no source and no service in the tables of several hosts.".to_owned(),
        |one| {
            format!(
                "{} had entries in the tables of {}: {} together.",
                one.key,
                counted(one.on, "host"),
                counted_entries(one.count)
            )
        },
    );
    let now = match fleet.hosts.first().filter(|host| host.refused > 0) {
        Some(host) => format!(
            "Begin with {}: it refused {}. ctdrop report there has the details.",
            host.host,
            counted(host.refused, "packet")
        ),
        None => "There is nothing to do.".to_owned(),
    };
    Summary {
        what: format!(
            "{} of {} refused {how} {}, in {}{unread}.",
            number(totals.hosts_refusing),
            counted(totals.hosts, "host"),
            counted(totals.refused, "packet"),
            counted(totals.incidents, "incident"),
        ),
        who,
        now,
    }
}
