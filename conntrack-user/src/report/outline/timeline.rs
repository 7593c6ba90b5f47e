//! The timeline as blocks, and its points as a table.

use std::time::Duration;

use crate::{
    report::{
        model::{Event, Lane, Report, Timeline},
        outline::block::{Block, Column, Table, columns, table},
        sentences::{self, moment},
    },
    say::number::{counted, limit, number, optional, span},
};

/// How many events are listed.
const EVENTS: usize = 100;

pub(super) fn blocks(report: &Report) -> Vec<Block> {
    let timeline = &report.timeline;
    let mut blocks = Vec::new();
    if timeline.points.is_empty() {
        let none = "No counts of this time are left.";
        blocks.push(Block::Text(none.to_owned()));
    } else {
        blocks.push(Block::Timeline);
    }
    let rows = timeline.events.iter().take(EVENTS).map(row).collect();
    blocks.extend(table("Events", &["time", "until", "kind", "event"], rows));
    let more = timeline.events.len().saturating_sub(EVENTS);
    if more > 0 {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        blocks.push(Block::Text(format!(
            "Not listed: {}.",
            counted(more, "more event")
        )));
    }
    blocks
}

fn row(event: &Event) -> Vec<String> {
    let until = event.until.as_deref().map_or_else(String::new, moment);
    let kind = lane(event.kind).to_owned();
    vec![moment(&event.time), until, kind, event.text.clone()]
}

/// What events are about.
pub(in crate::report) const fn lane(kind: Lane) -> &'static str {
    match kind {
        Lane::Incident => "incident",
        Lane::Limit => "limit",
        Lane::Fix => "fix",
        Lane::Module => "module and ctdrop",
        Lane::Census => "reading of the table",
        Lane::Gap => "gap",
    }
}

/// The length of a point in words.
pub(in crate::report) fn each(timeline: &Timeline) -> String {
    let seconds = Duration::from_secs_f64(timeline.point_seconds.clamp(0.0, 1e12));
    span(seconds)
}

/// The points as a table: what the charts show.
pub(in crate::report) fn points(timeline: &Timeline) -> Table {
    let reasons: Vec<&String> = timeline.drops.keys().collect();
    let mut heads = columns(&["from", "#refused"]);
    // One reason is all that is refused.
    let apart = if reasons.len() > 1 { &reasons[..] } else { &[] };
    heads.extend(apart.iter().map(|name| Column {
        title: sentences::reason(name).to_owned(),
        numeric: true,
    }));
    heads.extend(columns(&["#evicted"]));
    let has_table = timeline.has_table();
    if has_table {
        heads.extend(columns(&["#most entries", "#limit"]));
    }
    let rows = timeline.points.iter().map(|point| {
        let mut row = vec![moment(&point.time), number(point.refused)];
        let drops = apart.iter().map(|name| point.drops.get(*name).copied());
        row.extend(drops.map(|packets| number(packets.unwrap_or(0))));
        row.push(number(point.evicted));
        if has_table {
            row.push(optional(point.entries));
            row.push(limit(point.max));
        }
        row
    });
    let what = if has_table {
        "Refused packets, evicted entries, and entries against the limit"
    } else {
        "Refused packets and evicted entries"
    };
    Table {
        caption: format!("{what}, in rows of {}", each(timeline)),
        columns: heads,
        rows: rows.collect(),
    }
}
