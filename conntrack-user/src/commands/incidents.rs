//! `ctdrop incidents`: what was recorded, a row each.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    say::{
        clock::{self, of_millis as time},
        number::{duration, number},
        output::Output,
        stdout,
        text::plain,
    },
    store::{
        Reader,
        incident::{ClosedBy, Incident},
    },
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Form of the output.
    pub output: Output,
    /// The file of evidence.
    pub file: PathBuf,
}

/// Lists all incidents, the last one at the end.
pub fn run(options: &Options) -> Result<()> {
    let file = &options.file;
    let incidents = Reader::open(file)?.incidents()?;
    if options.output == Output::Json {
        return incidents
            .iter()
            .try_for_each(|incident| stdout::json(&Line::of(incident)));
    }
    if incidents.is_empty() {
        return stdout::lines([format!("no incident is recorded in {}", file.display())]);
    }
    stdout::lines(text(&incidents))
}

/// An incident as JSON; docs/json.md.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    incident: i64,
    since: String,
    last: String,
    seconds: f64,
    state: &'static str,
    closed_by: Option<&'static str>,
    closed: Option<String>,
    netns_name: &'a str,
    refused: u64,
    drops: Value,
    flows: u64,
    entries: Option<u64>,
    max: Option<u64>,
    kind: &'a str,
    confidence: &'a str,
    culprit: Option<&'a str>,
    diagnosis: Option<Box<RawValue>>,
}

impl<'a> Line<'a> {
    fn of(incident: &'a Incident) -> Self {
        Self {
            r#type: "incident",
            incident: incident.id,
            since: time(incident.opened.wall),
            last: time(incident.last.wall),
            seconds: length(incident).as_secs_f64(),
            state: state(incident),
            closed_by: incident.closed.map(|(_, by)| by.as_str()),
            closed: incident.closed.map(|(at, _)| time(at.wall)),
            netns_name: &incident.netns_name,
            refused: incident.refused,
            drops: serde_json::from_str(&incident.drops).unwrap_or_default(),
            flows: incident.flows,
            entries: incident.entries,
            max: incident.max,
            kind: &incident.kind,
            confidence: &incident.confidence,
            culprit: incident.culprit.as_deref(),
            diagnosis: RawValue::from_string(incident.body.clone()).ok(),
        }
    }
}

/// A table, a row for each incident.
fn text(incidents: &[Incident]) -> Vec<String> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "ID",
        "SINCE",
        "LASTED",
        "REFUSED",
        "NAMESPACE",
        "KIND",
        "CULPRIT",
        "STATE",
    ]);
    for incident in incidents {
        table.add_row([
            number(incident.id.unsigned_abs()),
            clock::shown_millis(incident.opened.wall),
            duration(length(incident)),
            number(incident.refused),
            plain(&incident.netns_name),
            plain(&incident.kind),
            plain(incident.culprit.as_deref().unwrap_or("-")),
            said(incident).to_owned(),
        ]);
    }
    for numbers in [0, 3] {
        if let Some(column) = table.column_mut(numbers) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines();
    lines.map(|line| line.trim_end().to_owned()).collect()
}

const fn state(incident: &Incident) -> &'static str {
    match incident.closed {
        None => "open",
        Some(_) => "closed",
    }
}

const fn said(incident: &Incident) -> &'static str {
    match incident.closed {
        None => "open",
        Some((_, ClosedBy::Quiet)) => "closed",
        Some((_, ClosedBy::NetnsGone)) => "closed: the network namespace is gone",
        Some((_, ClosedBy::Stopped)) => "end unknown: ctdrop was stopped",
        Some((_, ClosedBy::Killed)) => "end unknown: ctdrop was killed",
        Some((_, ClosedBy::Reboot)) => "end unknown: the host was rebooted",
    }
}

/// From the first to the last refused packet, by the clock that only runs forward.
fn length(incident: &Incident) -> Duration {
    let millis = incident.last.mono.saturating_sub(incident.opened.mono);
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::moment::Moment;

    fn incident() -> Incident {
        let at = |seconds: i64| Moment {
            boot: 1,
            wall: 1_700_000_000_000 + seconds * 1000,
            mono: seconds * 1000,
        };
        Incident {
            id: 3,
            netns_name: "gate\u{1b}[2Jway".to_owned(),
            opened: at(10),
            last: at(730),
            refused: 1234,
            drops: "{\"table_full\":1234}".to_owned(),
            kind: "leak".to_owned(),
            culprit: Some("from 10.0.0.7: 900 entries".to_owned()),
            body: "{\"kind\":\"leak\"}".to_owned(),
            ..Incident::default()
        }
    }

    #[test]
    fn a_row_says_what_matters_and_moves_no_terminal() {
        let mut incident = incident();
        let lines = text(std::slice::from_ref(&incident));
        let words = |line: &str| -> Vec<String> {
            let words = line.split("  ").map(str::trim);
            words
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let cells = words(&lines[1]);
        assert_eq!(
            cells,
            [
                "3",
                "2023-11-14T22:13:30Z",
                "12m",
                "1,234",
                "gate\u{fffd}[2Jway",
                "leak",
                "from 10.0.0.7: 900 entries",
                "open"
            ]
        );
        assert_eq!(words(&lines[0]).len(), cells.len());
        incident.closed = Some((incident.last, ClosedBy::Reboot));
        let lines = text(&[incident]);
        assert!(lines[1].ends_with("end unknown: the host was rebooted"));
    }

    #[test]
    fn json_has_the_whole_diagnosis() {
        let line = serde_json::to_value(Line::of(&incident())).unwrap();
        assert_eq!(line["diagnosis"]["kind"], "leak");
        assert_eq!(line["drops"]["table_full"], 1234);
        assert_eq!(line["state"], "open");
        assert_eq!(line["seconds"], 720.0);
    }
}
