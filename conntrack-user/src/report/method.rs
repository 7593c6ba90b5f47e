//! How it was counted, and how exact that is.

use serde_json::Value;

use crate::{
    kernel::message::Message,
    report::{
        evidence::{Evidence, time},
        model::{Gap, Log, LogLine, Method},
    },
    store::record::PastRun,
};

/// How many lines of the kernel's log are shown.
const LINES: usize = 20;

/// How it was counted.
pub(super) fn method(evidence: &Evidence) -> Method {
    let sums = &evidence.digest.sums;
    let losses: Vec<Value> = evidence.runs.iter().filter_map(losses).collect();
    let sum = |of: fn(&Value) -> u64| losses.iter().map(of).fold(0, u64::saturating_add);
    let missed = sum(|losses| all(&losses["missed"]));
    let error_bound = losses.iter().filter_map(|it| it["error_bound"].as_u64());
    let gaps = evidence.record.gaps.iter().map(|gap| Gap {
        since: time(gap.from.wall),
        until: time(gap.at.wall),
        why: gap.why.clone(),
        lost: gap.lost,
        detail: gap.detail.clone(),
    });
    let mut method = Method {
        exact: sums.range.is_none() && missed == 0,
        at_least: sums.range.map(|(least, _)| least),
        at_most: sums.range.map(|(_, most)| most),
        covered: seconds(sums.covered),
        unarmed: seconds(sums.unarmed),
        missed,
        faults: sum(|losses| all(&losses["faults"])),
        unexplained: sum(|losses| losses["unexplained"].as_u64().unwrap_or(0)),
        error_bound: error_bound.max().unwrap_or(0),
        gaps: gaps.collect(),
        log: log(evidence),
        notes: Vec::new(),
    };
    method.notes = notes(evidence, &method);
    method
}

fn losses(run: &PastRun) -> Option<Value> {
    serde_json::from_str(run.known.losses.as_deref()?).ok()
}

/// All numbers of an object together.
fn all(object: &Value) -> u64 {
    let fields = object.as_object().into_iter().flatten();
    fields
        .filter_map(|(_, number)| number.as_u64())
        .fold(0, u64::saturating_add)
}

#[expect(clippy::cast_precision_loss, reason = "shown to the second")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

fn log(evidence: &Evidence) -> Log {
    let lines = &evidence.record.log_lines;
    let about = About::of(evidence);
    let mut log = Log::default();
    for line in lines {
        match Message::parse(line.text.as_bytes()) {
            Some(Message::TableFull { netns, .. }) if about.has(line.at.wall, netns) => {
                log.lines += 1;
            }
            Some(Message::TableFull { .. }) => log.lines_elsewhere += 1,
            // The kernel reports a burst right before the first message of the next one.
            Some(Message::Suppressed { messages, .. })
                if about.incident.is_some() && log.lines == 0 =>
            {
                log.suppressed_before = log.suppressed_before.saturating_add(messages);
            }
            Some(Message::Suppressed { messages, .. }) => {
                log.suppressed = log.suppressed.saturating_add(messages);
            }
            _ => {}
        }
    }
    let shown = lines.iter().take(LINES).map(|line| LogLine {
        time: time(line.at.wall),
        text: line.text.clone(),
    });
    log.shown = shown.collect();
    log.omitted = u64::try_from(lines.len().saturating_sub(LINES)).unwrap_or(0);
    log
}

/// What a report is about: an incident, or all.
struct About {
    /// The namespace of the incident, and its time in milliseconds.
    incident: Option<(u32, (i64, i64))>,
}

impl About {
    fn of(evidence: &Evidence) -> Self {
        let record = &evidence.record;
        let incident = evidence.incident.and_then(|id| {
            let incident = record.incidents.iter().find(|it| it.id == id)?;
            let mut namespaces = record.namespaces.iter();
            let netns = namespaces.find(|it| it.netns == incident.netns)?;
            // A second each way: the log has a clock of its own.
            let time = (incident.opened.wall - 1000, incident.last.wall + 1000);
            Some((netns.inode, time))
        });
        Self { incident }
    }

    /// Whether a line of that time about a table of that namespace is about it. Old kernels
    /// name no namespace, and later ones not that of the host.
    fn has(&self, wall: i64, netns: Option<u32>) -> bool {
        self.incident.is_none_or(|(inode, (first, last))| {
            (first..=last).contains(&wall) && netns.is_none_or(|netns| netns == inode)
        })
    }
}

fn notes(evidence: &Evidence, method: &Method) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |applies: bool, text: &str| {
        if applies {
            notes.push(text.to_owned());
        }
    };
    let sums = &evidence.digest.sums;
    note(
        method.exact,
        "ctdrop counted each refused packet in the kernel; all sums are exact, even where ctdrop \
         added up old intervals",
    );
    note(
        sums.range.is_some(),
        "for part of this time ctdrop had only the kernel's counters, which mix causes: only bounds \
         of the number of refused packets are known",
    );
    note(
        method.missed > 0,
        "the kernel skipped some runs of ctdrop's programs: more packets may have been refused",
    );
    note(
        sums.unattributed > 0,
        "some packets are counted without their flow: ctdrop had not yet attached the programs that \
         run for each new flow, had no room for the flow, or its backend cannot see the flow",
    );
    note(
        sums.intervals == 0,
        "ctdrop has removed the details of this time, because of their age or their size: only \
         summaries of incidents are left",
    );
    note(
        evidence.digest.flows_in_part,
        "flows, services and senders cover only the 10,000 intervals with the most refused packets",
    );
    note(
        true,
        "the count of a flow lacks the packets of intervals in which the flow was not among the 20 \
         flows with the most packets",
    );
    notes
}
