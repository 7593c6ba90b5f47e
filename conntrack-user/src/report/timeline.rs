//! What happened when.

use std::collections::BTreeMap;

use crate::{
    report::{
        evidence::{Evidence, time},
        fixes,
        model::{Event, Lane, Point, Timeline},
    },
    say::number::{counted_entries, limit, number},
    store::{digest, incident::ClosedBy, moment::Moment},
};

/// Points of time, and what else happened.
pub(super) fn timeline(evidence: &Evidence) -> Timeline {
    let points: Vec<Point> = evidence.digest.points.iter().map(point).collect();
    let mut drops: BTreeMap<String, u64> = BTreeMap::new();
    for point in &points {
        for (reason, packets) in &point.drops {
            *drops.entry(reason.clone()).or_default() += packets;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few days at most")]
    let point_seconds = evidence.width as f64 / 1000.0;
    Timeline {
        wall: evidence.wall,
        point_seconds,
        netns_name: evidence
            .digest
            .table
            .map(|netns| evidence.netns_name(netns)),
        drops,
        points,
        events: events(evidence),
    }
}

fn point(point: &digest::Point) -> Point {
    Point {
        time: time(point.wall),
        wall: point.wall,
        refused: point.refused.values().sum(),
        drops: point.refused.clone(),
        evicted: point.evicted,
        entries: point.entries,
        max: point.max,
    }
}

/// The same with longer points, so that there are so many at most. Sums stay exact.
pub(super) fn coarser(timeline: &Timeline, most: i64) -> Timeline {
    let points = &timeline.points;
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return timeline.clone();
    };
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers")]
    let width = ((timeline.point_seconds * 1000.0) as i64).max(1);
    let span = (last.wall - first.wall) / width + 1;
    let together = (span + most - 1) / most;
    let mut longer: Vec<Point> = Vec::new();
    for point in points {
        let begin = point.wall - (point.wall - first.wall) % (width * together);
        match longer.last_mut() {
            Some(sum) if sum.wall == begin => sum.add(point),
            _ => longer.push(Point {
                time: time(begin),
                wall: begin,
                ..point.clone()
            }),
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few days at most")]
    let point_seconds = timeline.point_seconds * together as f64;
    Timeline {
        point_seconds,
        points: longer,
        ..timeline.clone()
    }
}

impl Point {
    /// Takes in the next one.
    fn add(&mut self, next: &Self) {
        self.refused += next.refused;
        self.evicted += next.evicted;
        self.entries = self.entries.max(next.entries);
        self.max = next.max.or(self.max);
        for (reason, packets) in &next.drops {
            *self.drops.entry(reason.clone()).or_default() += packets;
        }
    }
}

fn events(evidence: &Evidence) -> Vec<Event> {
    let mut events = incidents(evidence);
    let record = &evidence.record;
    events.extend(record.limits.iter().map(|change| {
        let by = change.made_by.as_deref();
        let by = by.map_or_else(String::new, |by| format!(", by {by}"));
        let text = format!(
            "limit {} → {}, buckets {} → {}{by}",
            limit(Some(change.max_before)),
            limit(Some(change.max)),
            number(change.buckets_before),
            number(change.buckets)
        );
        event(Lane::Limit, change.at, text)
    }));
    events.extend(
        record
            .fixes
            .iter()
            .map(|fix| event(Lane::Fix, fix.at, fixes::text(&fix.action))),
    );
    events.extend(record.events.iter().map(|it| {
        let detail = it.detail.as_deref();
        let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
        event(
            Lane::Module,
            it.at,
            format!("{}{detail}", happened(&it.event)),
        )
    }));
    events.extend(record.censuses.iter().map(|census| {
        let text = format!("ctdrop read the table: {}", counted_entries(census.entries));
        event(Lane::Census, census.at, text)
    }));
    events.extend(record.gaps.iter().map(|gap| Event {
        until: Some(time(gap.at.wall)),
        wall: (gap.from.wall, gap.at.wall),
        ..event(Lane::Gap, gap.from, why_gap(&gap.why))
    }));
    events.sort_by_key(|event| (event.wall.0, event.kind));
    events
}

fn incidents(evidence: &Evidence) -> Vec<Event> {
    let mut events = Vec::new();
    for incident in &evidence.record.incidents {
        let name = &incident.netns_name;
        let opened = format!(
            "incident {} opened in network namespace {name}",
            incident.id
        );
        events.push(event(Lane::Incident, incident.opened, opened));
        if let Some((at, by)) = incident.closed {
            let end = if is_end_known(by) {
                " closed"
            } else {
                ": end unknown"
            };
            let text = format!("incident {}{end}: {}", incident.id, closed(by));
            events.push(event(Lane::Incident, at, text));
        }
    }
    events
}

fn event(kind: Lane, at: Moment, text: String) -> Event {
    Event {
        time: time(at.wall),
        until: None,
        wall: (at.wall, at.wall),
        kind,
        text,
    }
}

/// Whether it is known when an incident ended: ctdrop watched to its end.
const fn is_end_known(by: ClosedBy) -> bool {
    match by {
        ClosedBy::Quiet | ClosedBy::NetnsGone => true,
        ClosedBy::Stopped | ClosedBy::Killed | ClosedBy::Reboot => false,
    }
}

/// Why it is not known when an incident ended that was closed like this; none if it is known.
pub(super) fn unknown_end(closed_by: &str) -> Option<&'static str> {
    let by = ClosedBy::ALL
        .into_iter()
        .find(|by| by.as_str() == closed_by)?;
    (!is_end_known(by)).then(|| closed(by))
}

/// Why an incident was closed.
pub(super) const fn closed(by: ClosedBy) -> &'static str {
    match by {
        ClosedBy::Quiet => "for 5 minutes no packet was refused and the table was not full",
        ClosedBy::NetnsGone => "the network namespace is gone",
        ClosedBy::Stopped => "ctdrop was stopped",
        ClosedBy::Killed => "ctdrop was killed",
        ClosedBy::Reboot => "the host was rebooted",
    }
}

/// Why there is no evidence, or less.
pub(super) fn why_gap(why: &str) -> String {
    match why {
        "stopped" => "ctdrop did not run: it was stopped",
        "killed" => "ctdrop did not run: it was killed",
        "reboot" => "ctdrop did not run: the host was rebooted",
        "not_written" => "ctdrop could not write evidence to the disk: the evidence of this time may be less detailed or \
             incomplete",
        other => other,
    }
    .to_owned()
}

/// What an event of docs/json.md means.
fn happened(event: &str) -> String {
    match event {
        "waiting" => "conntrack is not loaded",
        "armed" => "ctdrop attached the programs that run for each new flow",
        "at_rest" => "no pressure: ctdrop detached the programs that run for each new flow",
        "unloaded" => "the conntrack module was unloaded",
        "released" => "ctdrop detached from the conntrack module: nothing else uses it",
        "attached" => "ctdrop attached its programs again: the conntrack module is in use",
        "filling" => "warning",
        "netns_gone" => "a network namespace is gone",
        "netns_renamed" => "a network namespace has a new name",
        other => other,
    }
    .to_owned()
}
