//! The end of a report as blocks: fixes, the host, and how it was counted.

use std::time::Duration;

use crate::{
    report::{
        model::{Fix, Host, Method, Report},
        outline::block::{Block, table},
        sentences::moment,
        timeline::why_gap,
    },
    say::number::{bytes, counted, duration, number},
};

pub(super) fn fixes(report: &Report) -> Vec<Block> {
    if report.fixes.is_empty() {
        let none = "No fix of ctdrop watch --fix is recorded in this time. This report does not cover \
                    ctdrop fix: ctdrop undo --list shows those fixes.";
        return vec![Block::Text(none.to_owned())];
    }
    report.fixes.iter().flat_map(fix).collect()
}

fn fix(fix: &Fix) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(format!(
        "{}: {}",
        moment(&fix.time),
        fix.text
    ))];
    for step in &fix.steps {
        let what = match (&step.before, &step.after) {
            (Some(before), Some(after)) => format!("{}: {before} → {after}", step.path),
            (None, Some(after)) => format!("{}: {after}", step.path),
            _ => step.path.clone(),
        };
        let what = match step.why.as_str() {
            "" => what,
            why => format!("{what} ({why})"),
        };
        match &step.diff {
            Some(diff) => {
                let lines = diff.lines().map(ToOwned::to_owned).collect();
                blocks.push(Block::Code(what, lines));
            }
            None => blocks.push(Block::Text(what)),
        }
    }
    if let Some(undo) = &fix.undo {
        blocks.push(Block::Text(format!("To undo it: {undo}")));
    }
    blocks
}

pub(super) fn hosts(hosts: &[Host]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let rows = hosts.iter().map(|host| {
        let processors = host.processors.map(number).unwrap_or_default();
        vec![
            host.host.clone(),
            host.kernel.clone(),
            host.distribution.clone().unwrap_or_default(),
            processors,
            host.memory.map(bytes).unwrap_or_default(),
        ]
    });
    let head = ["host", "kernel", "distribution", "#processors", "#memory"];
    blocks.extend(table("The host, boot by boot", &head, rows.collect()));
    let runs = hosts.iter().flat_map(|host| &host.runs);
    let rows = runs.clone().map(|run| {
        let until = run
            .until
            .as_deref()
            .map_or_else(|| "still running, or killed".to_owned(), moment);
        vec![
            moment(&run.since),
            until,
            run.version.clone(),
            run.backend.clone().unwrap_or_default(),
        ]
    });
    let head = ["since", "until", "version", "backend"];
    blocks.extend(table("Starts of ctdrop", &head, rows.collect()));
    let mut warnings: Vec<String> = runs.flat_map(|run| run.warnings.clone()).collect();
    warnings.dedup();
    if !warnings.is_empty() {
        blocks.push(Block::Text("What ctdrop may not have seen:".to_owned()));
        blocks.push(Block::List(warnings));
    }
    if blocks.is_empty() {
        let none = "No record of the host is left.";
        blocks.push(Block::Text(none.to_owned()));
    }
    blocks
}

fn seconds(seconds: f64) -> String {
    duration(Duration::from_secs_f64(seconds.clamp(0.0, 1e12)))
}

pub(super) fn method(method: &Method) -> Vec<Block> {
    let mut blocks = vec![Block::List(method.notes.clone())];
    let mut rows = vec![
        vec!["time with evidence".to_owned(), seconds(method.covered)],
        vec![
            "part of it without the programs that run for each new flow".to_owned(),
            seconds(method.unarmed),
        ],
        vec![
            "program runs that the kernel skipped".to_owned(),
            number(method.missed),
        ],
        vec![
            "errors inside the programs".to_owned(),
            number(method.faults),
        ],
        vec![
            "packets that counters show and no program saw".to_owned(),
            number(method.unexplained),
        ],
        vec![
            "packets that the count of a flow can lack".to_owned(),
            number(method.error_bound),
        ],
        vec![
            "lines of the kernel's log about a full table".to_owned(),
            number(method.log.lines),
        ],
        vec![
            "messages that the kernel reports as suppressed".to_owned(),
            number(method.log.suppressed),
        ],
    ];
    if method.log.suppressed_before > 0 {
        rows.push(vec![
            "messages suppressed before the first of these lines, in an earlier burst".to_owned(),
            number(method.log.suppressed_before),
        ]);
    }
    if method.log.lines_elsewhere > 0 {
        rows.push(vec![
            "lines about other network namespaces, or before and after the incident".to_owned(),
            number(method.log.lines_elsewhere),
        ]);
    }
    if let (Some(least), Some(most)) = (method.at_least, method.at_most) {
        rows.push(vec![
            "bounds of the refused packets".to_owned(),
            format!("{} to {}", number(least), number(most)),
        ]);
    }
    blocks.extend(table(
        "How exact the numbers are",
        &["what", "#value"],
        rows,
    ));
    let gaps = method.gaps.iter().map(|gap| {
        vec![
            moment(&gap.since),
            moment(&gap.until),
            why_gap(&gap.why),
            number(gap.lost),
            gap.detail.clone().unwrap_or_default(),
        ]
    });
    let head = ["since", "until", "why", "#rows lost", "error"];
    blocks.extend(table("Gaps in the evidence", &head, gaps.collect()));
    let lines = method.log.shown.iter();
    let lines: Vec<String> = lines
        .map(|line| format!("{}  {}", moment(&line.time), line.text))
        .collect();
    if !lines.is_empty() {
        let more = match method.log.omitted {
            0 => String::new(),
            more => format!(", and {}", counted(more, "more line")),
        };
        blocks.push(Block::Code(
            format!("Lines of the kernel's log about conntrack{more}"),
            lines,
        ));
    }
    blocks
}
