//! The report of `ctdrop status` on one screen.

use std::{path::Path, time::Duration};

use anstyle::Style;
use comfy_table::{ContentArrangement, Table, presets};
use console::truncate_str;

use crate::{
    commands::{
        overview::next::{self, Next},
        status::{
            capacity::packets,
            report::StatusReport,
            text::{essence, heading, of_severity, of_state},
        },
    },
    facts::Unreadable,
    incident::words,
    kernel::presence::Presence,
    say::{
        finding::{Code, Finding, Severity},
        number::{counted, duration, shortened},
        text::plain,
    },
};

/// A terminal has 24 lines, of which the prompt takes one.
const LINES: usize = 23;

/// Columns of a line.
const WIDTH: usize = 80;

/// Columns of the names at the beginning of lines.
const NAME: usize = 14;

const PLAIN: Style = Style::new();
const DIM: Style = Style::new().dimmed();

/// The lines: what is refused now, what else is found as far as it fits, what cannot be
/// seen, and what to run next.
pub(super) fn lines(report: &StatusReport, root: bool) -> Vec<String> {
    let mut lines = summary(report);
    lines.extend(refused_now(report));
    let mut end = not_seen(report);
    end.push(String::new());
    end.extend(next::commands(report, root).into_iter().map(command));
    lines.extend(findings(
        &report.findings,
        LINES.saturating_sub(lines.len() + end.len()),
    ));
    lines.extend(end);
    lines
}

/// The state with the most important fact, and the host.
fn summary(report: &StatusReport) -> Vec<String> {
    let state = report.state.to_string();
    let style = of_state(report.state);
    let mut lines = capped(wrapped(&format!("{state}: {}", essence(report)), WIDTH), 3);
    if let Some(first) = lines.first_mut() {
        *first = first.replacen(&state, &format!("{style}{state}{style:#}"), 1);
    }
    let place = capped(wrapped(&heading(report), WIDTH), 2);
    lines.extend(place.into_iter().map(|line| format!("{DIM}{line}{DIM:#}")));
    lines.push(String::new());
    lines
}

/// How many packets were refused just now, and the diagnosis.
fn refused_now(report: &StatusReport) -> Vec<String> {
    if matches!(report.conntrack, Some(Presence::Absent)) {
        return Vec::new();
    }
    let count = report.refused.map(|refused| {
        let seconds = duration(Duration::from_secs_f64(refused.seconds));
        format!("{} in {seconds}; ", packets(refused.packets))
    });
    let incident = &report.incident;
    let diagnosis = if incident.kind.is_refusal() {
        incident.headline()
    } else {
        words::kind(incident.kind).to_owned()
    };
    let text = format!("{}{diagnosis}", count.unwrap_or_default());
    capped(row(PLAIN, "refused now", &text), 4)
}

/// Whether a finding says that something cannot be seen: [`not_seen`] shows those.
const fn is_blind(finding: &Finding) -> bool {
    matches!(
        finding.code,
        Code::NamespacesNotFound
            | Code::NamespacesUnreadable
            | Code::NamespacesHidden
            | Code::FileUnreadable
            | Code::NumbersUnreadable
    )
}

/// The findings that fit, the worst first, each with its first remedy.
fn findings(all: &[Finding], room: usize) -> Vec<String> {
    let matters = |it: &&Finding| it.severity > Severity::Info && !is_blind(it);
    let listed: Vec<&Finding> = all.iter().filter(matters).collect();
    let mut lines = Vec::new();
    let mut shown = 0;
    for finding in &listed {
        let mut more = row(
            of_severity(finding.severity),
            &finding.severity.to_string(),
            &plain(&finding.what),
        );
        if let Some(remedy) = finding.remedy.lines().next() {
            more.extend(row(PLAIN, "  remedy", &plain(remedy)));
        }
        // The last line says how many are left out.
        if lines.len() + more.len() + 1 > room {
            break;
        }
        lines.extend(more);
        shown += 1;
    }
    let left = (listed.len() - shown) as u64;
    if left > 0 && room > 0 {
        let more = if shown == 0 {
            "finding"
        } else {
            "more finding"
        };
        lines.push(format!("{}: ctdrop status", counted(left, more)));
    }
    lines
}

/// What cannot be seen from here; it may hide that packets are refused.
fn not_seen(report: &StatusReport) -> Vec<String> {
    let namespaces = report.findings.iter().filter(|finding| {
        is_blind(finding) && !matches!(finding.code, Code::FileUnreadable | Code::NumbersUnreadable)
    });
    let mut parts: Vec<String> = namespaces.map(|finding| plain(&finding.what)).collect();
    // This file only says how much memory an entry takes.
    let matters = |it: &&Unreadable| it.path != Path::new("/proc/slabinfo");
    let files = report.unreadable.iter().filter(matters);
    let files: Vec<String> = files
        .map(|it| plain(&it.path.display().to_string()))
        .collect();
    if !files.is_empty() {
        let names: Vec<&str> = files.iter().map(String::as_str).collect();
        let count = counted(files.len() as u64, "unreadable file");
        parts.push(format!("{count}: {}", shortened(&names)));
    }
    if parts.is_empty() {
        return Vec::new();
    }
    capped(row(PLAIN, "not seen", &parts.join("; ")), 4)
}

fn command((command, what): Next) -> String {
    format!("  {command:<22}{what}")
}

/// A name, and a text beside it.
fn row(style: Style, name: &str, text: &str) -> Vec<String> {
    let text = wrapped(text, WIDTH - NAME);
    let blank = " ".repeat(NAME.saturating_sub(name.len()));
    let names = std::iter::once(format!("{style}{name}{style:#}{blank}"));
    let below = std::iter::repeat(" ".repeat(NAME));
    names
        .chain(below)
        .zip(text)
        .map(|(name, text)| name + &text)
        .collect()
}

/// The first lines of a text. If lines are left out, the last one ends in `…`.
fn capped(mut lines: Vec<String>, most: usize) -> Vec<String> {
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = format!("{}…", truncate_str(last, WIDTH - 1, ""));
        }
    }
    lines
}

/// The text, broken into lines of so many columns.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(columns).unwrap_or(u16::MAX))
        .add_row([text]);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 0));
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests;
