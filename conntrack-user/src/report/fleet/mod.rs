//! A report on several hosts, merged from the report of each host.

pub mod copies;
mod model;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

pub use self::model::{Fleet, Host, Incident, LeftOut, Shared, Totals, Unread};
use crate::{
    report::{
        fleet::copies::Copied,
        model::{Event, Lane, Point, Report, Summary, Timeline},
        redact::{self, Mask},
    },
    say::number::{counted, counted_entries, number},
};

/// The most sources, and the most services, that are listed.
const SHARED: usize = 50;

/// The most hosts that are named for each of them.
const NAMED: usize = 20;

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
    /// The incidents of each host: two databases of one host may have the same.
    incidents: BTreeSet<(usize, i64, String)>,
}

impl Merger {
    /// Adds the report of a host, which is masked already if there is a mask. Gives the number of
    /// the host.
    pub fn add(&mut self, from: &str, report: &Report, mask: Option<&mut Mask>) -> usize {
        let from = masked(from, mask);
        let last = report.hosts.last();
        let name = last.map_or_else(|| from.clone(), |host| host.host.clone());
        let is_namesake = self.names.contains(&name);
        let name = if is_namesake {
            format!("{name} ({from})")
        } else {
            name
        };
        self.names.insert(name.clone());
        let host = self.fleet.hosts.len();
        self.fleet.hosts.push(Host {
            host: name,
            kernel: last.map(|host| host.kernel.clone()).unwrap_or_default(),
            exact: true,
            is_namesake,
            ..Host::default()
        });
        self.add_evidence(host, from, report);
        host
    }

    /// Adds a report on other evidence of a host that was added.
    pub fn add_part(&mut self, host: usize, from: &str, report: &Report, mask: Option<&mut Mask>) {
        self.add_evidence(host, masked(from, mask), report);
    }

    /// Adds a database that could not be read. The reason has no names in it.
    pub fn add_unread(&mut self, from: &str, why: &str, mask: Option<&mut Mask>) {
        self.fleet.unread.push(Unread {
            from: masked(from, mask),
            why: why.to_owned(),
        });
    }

    /// Adds a database whose host is counted already, by another database.
    pub fn add_left_out(
        &mut self,
        (from, instead): (&str, &str),
        why: Copied,
        mut mask: Option<&mut Mask>,
    ) {
        self.fleet.left_out.push(LeftOut {
            from: masked(from, mask.as_deref_mut()),
            instead: masked(instead, mask),
            code: why.code(),
            why: why.words(),
            has_more: why.has_more(),
        });
    }

    fn add_evidence(&mut self, host: usize, from: String, report: &Report) {
        self.fleet.totals.unattributed += report.victims.unattributed;
        for (reason, packets) in &report.timeline.drops {
            *self.fleet.totals.drops.entry(reason.clone()).or_default() += packets;
        }
        let name = self.fleet.hosts[host].host.clone();
        self.add_points(&report.timeline, &name);
        self.add_seen(report, &name);
        let row = &mut self.fleet.hosts[host];
        row.from.push(from);
        row.add(report);
        for incident in &report.incidents {
            let which = (host, incident.incident, incident.since.clone());
            if self.incidents.insert(which) {
                row.incidents += 1;
                self.fleet.incidents.push(Incident {
                    host: name.clone(),
                    incident: incident.incident,
                    netns_name: incident.netns_name.clone(),
                    since: incident.since.clone(),
                    closed: incident.closed.clone(),
                    closed_by: incident.closed_by,
                    refused: incident.refused,
                    kind_text: incident.kind_text.clone(),
                    culprit: incident.culprit.clone(),
                });
            }
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
        let totals = &mut fleet.totals;
        totals.hosts = fleet.hosts.len() as u64;
        totals.refused = fleet.hosts.iter().map(|host| host.refused).sum();
        let refusing = fleet.hosts.iter().filter(|host| host.refused > 0);
        totals.hosts_refusing = refusing.count() as u64;
        totals.incidents = fleet.incidents.len() as u64;
        let open = fleet.incidents.iter().filter(|one| one.closed.is_none());
        totals.open = open.count() as u64;
        fleet.hosts.sort_by_key(|host| Reverse(host.refused));
        fleet
            .incidents
            .sort_by(|one, other| one.since.cmp(&other.since));
        fleet.timeline.points = self.points.into_values().collect();
        fleet.timeline.drops.clone_from(&fleet.totals.drops);
        let events = &mut fleet.timeline.events;
        events.sort_by(|one, other| (one.wall, &one.text).cmp(&(other.wall, &other.text)));
        events.dedup();
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

impl Host {
    /// Adds the evidence of a report, but not its incidents.
    fn add(&mut self, report: &Report) {
        self.refused += report.victims.refused;
        for (reason, packets) in &report.timeline.drops {
            *self.drops.entry(reason.clone()).or_default() += packets;
        }
        self.exact &= report.method.exact;
        self.covered += report.method.covered;
        let worst = report.incidents.iter().max_by_key(|one| one.refused);
        if let Some(worst) = worst
            && (self.worst.is_none() || worst.refused > self.most.0)
        {
            self.most.0 = worst.refused;
            self.worst = Some(worst.kind_text.clone());
            self.culprit.clone_from(&worst.culprit);
        }
        let peak = report.timeline.points.iter().max_by_key(|it| it.refused);
        if let Some(peak) = peak.filter(|peak| peak.refused > self.most.1) {
            self.most.1 = peak.refused;
            self.peak = Some(peak.time.clone());
        }
    }
}

/// A path as it may be shown.
fn masked(path: &str, mask: Option<&mut Mask>) -> String {
    let mut path = path.to_owned();
    if let Some(mask) = mask {
        redact::path(&mut path, mask);
    }
    path
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
    let is_exact = fleet.hosts.iter().all(|host| host.exact)
        && fleet.unread.is_empty()
        && !fleet.left_out.iter().any(|one| one.has_more);
    let how = if is_exact { "exactly" } else { "at least" };
    let databases = |some: usize, what: &str| match some as u64 {
        0 => String::new(),
        some => format!("; {} {what}", counted(some, "database")),
    };
    let unread = databases(fleet.unread.len(), "could not be read");
    let left_out = databases(
        fleet.left_out.len(),
        "left out: the host is counted already",
    );
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
            "{} of {} refused {how} {}, in {}{unread}{left_out}.",
            number(totals.hosts_refusing),
            counted(totals.hosts, "host"),
            counted(totals.refused, "packet"),
            counted(totals.incidents, "incident"),
        ),
        who,
        now,
    }
}
