//! The report as text for people: what matters most comes first.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};

use crate::{
    commands::status::{
        capacity::{packets, range},
        events,
        forecast::Namespace,
        report::StatusReport,
    },
    incident::TimeToFull,
    kernel::{counters::Totals, defaults, memory::EXTENSIONS, presence::Presence},
    observe::{backend::Backend, usage::NamespaceUse},
    say::{
        finding::{Finding, Severity, State},
        number::{about, bytes, counted, counted_entries, duration, number, optional, percent},
        text::plain,
    },
    survival::Outcome,
};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();

/// Rows of namespaces.
const NAMESPACES: usize = 10;

/// All of it.
pub(crate) fn lines(report: &StatusReport) -> Vec<String> {
    let mut lines = vec![summary(report), origin(report)];
    lines.extend(findings(&report.findings));
    lines.push(String::new());
    lines.extend(numbers(report));
    lines.push(String::new());
    lines.extend(survives(report));
    lines.extend(backend(report));
    lines.extend(
        report
            .unreadable
            .iter()
            .map(|unreadable| row("unreadable", &plain(&unreadable.to_string()))),
    );
    lines.extend(
        report
            .warnings
            .iter()
            .map(|warning| row("note", &plain(warning))),
    );
    lines
}

/// The line that a monitoring system shows.
fn summary(report: &StatusReport) -> String {
    let style = of_state(report.state);
    format!("{style}{}{style:#}: {}", report.state, essence(report))
}

/// The style of a state.
pub(crate) const fn of_state(state: State) -> Style {
    match state {
        State::Ok => GOOD,
        State::Critical => BAD,
        State::Warning | State::Unknown => WARN,
    }
}

/// The style of a severity.
pub(crate) const fn of_severity(severity: Severity) -> Style {
    match severity {
        Severity::Critical => BAD,
        Severity::Warning | Severity::Unknown => WARN,
        Severity::Info => BOLD,
    }
}

/// What matters most, in one sentence.
pub(crate) fn essence(report: &StatusReport) -> String {
    match report.findings.first() {
        Some(worst) if worst.severity > Severity::Info => plain(&worst.what),
        _ if matches!(report.conntrack, Some(Presence::Absent)) => {
            "conntrack is not loaded, so nothing is refused".to_owned()
        }
        _ => match report.namespaces.first() {
            Some(fullest) => used(&fullest.used),
            None => events::sentence(&report.survives),
        },
    }
}

fn used(namespace: &NamespaceUse) -> String {
    let share = namespace
        .share()
        .map_or_else(String::new, |share| format!(" ({})", percent(share)));
    format!(
        "{} of {} entries{share} in {}",
        optional(namespace.entries),
        optional(namespace.max),
        plain(&namespace.name)
    )
}

fn origin(report: &StatusReport) -> String {
    format!("{DIM}{}{DIM:#}", heading(report))
}

/// Which program looks at which host.
pub(crate) fn heading(report: &StatusReport) -> String {
    let of = match (&report.root, &report.host) {
        (Some(root), _) => format!("the tree {}", root.display()),
        (None, host) => host.clone().unwrap_or_default(),
    };
    let release = report.release.as_deref().unwrap_or("of unknown release");
    format!(
        "ctdrop {} on {}: {}, Linux {}",
        report.version,
        plain(&of),
        plain(&report.distribution),
        plain(release)
    )
}

fn findings(findings: &[Finding]) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in findings {
        let style = of_severity(finding.severity);
        lines.push(String::new());
        lines.push(format!(
            "{style}{}{style:#}  {}",
            finding.severity,
            plain(&finding.what)
        ));
        lines.extend(finding.details());
    }
    lines
}

fn row(name: &str, text: &str) -> String {
    format!("{name:<14}{text}")
}

fn numbers(report: &StatusReport) -> Vec<String> {
    let limit = &report.limit;
    let mut lines = Vec::new();
    if let Some(conntrack) = &report.conntrack {
        lines.push(row("conntrack", &conntrack.to_string()));
    }
    let not_loaded = matches!(report.conntrack, Some(Presence::Absent));
    if limit.max.is_some() || !not_loaded {
        let max = limit.max.map_or_else(
            || "unknown".to_owned(),
            |max| format!("{} in each network namespace", counted_entries(max)),
        );
        let buckets = limit.buckets.map_or_else(
            || "number of buckets unknown".to_owned(),
            |buckets| counted(buckets, "bucket"),
        );
        lines.push(row("limit", &format!("{max}, {buckets}")));
    }
    lines.push(row("default", &default(limit.default)));
    lines.push(row("memory", &memory(report)));
    lines.extend(timeouts(report));
    if let Some(refused) = report.refused {
        let packets = packets(refused.packets);
        let seconds = duration(Duration::from_secs_f64(refused.seconds));
        lines.push(row("refused now", &format!("{packets} in {seconds}")));
    }
    lines.extend(report.counters.as_ref().map(counters).unwrap_or_default());
    lines.extend(namespaces(&report.namespaces));
    lines
}

fn default(table: Option<defaults::Table>) -> String {
    table.map_or_else(
        || "unknown: it depends on kernel release and memory, which are unknown".to_owned(),
        |table| {
            format!(
                "{} entries, {} buckets, unless something sets them",
                number(table.max),
                number(table.buckets)
            )
        },
    )
}

fn memory(report: &StatusReport) -> String {
    let memory = &report.memory;
    let entry = format!(
        "{}{} for an entry, {} with extensions such as that of NAT{}",
        if memory.measured { "" } else { "about " },
        bytes(memory.entry),
        bytes(memory.entry + EXTENSIONS),
        if memory.measured {
            ""
        } else {
            " (not measured)"
        }
    );
    let limit = match (memory.at_limit, memory.at_limit_with_extensions) {
        (Some(least), Some(most)) => {
            let share = memory.share().map_or_else(String::new, |share| {
                format!(", up to {} of the memory,", percent(share))
            });
            format!(
                "; {} to {}{share} with a full table",
                bytes(least),
                bytes(most)
            )
        }
        _ => String::new(),
    };
    let now = memory
        .now
        .map_or_else(String::new, |now| format!("; {} now", bytes(now)));
    format!("{entry}{now}{limit}")
}

fn timeouts(report: &StatusReport) -> Option<String> {
    let shown = [
        ("tcp_timeout_established", "TCP established"),
        ("tcp_timeout_time_wait", "time wait"),
        ("tcp_timeout_close_wait", "close wait"),
        ("udp_timeout", "UDP"),
        ("udp_timeout_stream", "UDP with replies"),
        ("generic_timeout", "other"),
    ];
    let parts: Vec<String> = shown
        .iter()
        .filter_map(|(name, title)| {
            let seconds = *report.timeouts.get(name)?;
            Some(format!(
                "{title} {}",
                duration(Duration::from_secs(seconds))
            ))
        })
        .collect();
    (!parts.is_empty()).then(|| row("timeouts", &parts.join(", ")))
}

/// Counters in plain words; those that are zero say nothing.
fn counters(totals: &Totals) -> Vec<String> {
    let words = [
        (
            totals.drop,
            "drop",
            "packets that conntrack dropped, mostly because the table was full or they lost a clash",
        ),
        (
            totals.insert_failed,
            "insert_failed",
            "entries that could not be inserted; before Linux 5.10 also resolved clashes",
        ),
        (
            totals.chaintoolong,
            "chaintoolong",
            "entries refused because their hash chain was too long",
        ),
        (
            totals.early_drop,
            "early_drop",
            "entries evicted to make room for others",
        ),
        (
            totals.clash_resolve,
            "clash_resolve",
            "clashes of two packets over one entry, resolved without loss",
        ),
        (
            totals.invalid,
            "invalid",
            "packets that conntrack found invalid; this counter does not say whether a rule dropped them",
        ),
        (
            totals.error,
            "icmp_error",
            "packets that conntrack found malformed; newer kernels count ICMP messages alone",
        ),
        (
            totals.search_restart,
            "search_restart",
            "look-ups repeated while the table changed",
        ),
    ];
    let mut lines: Vec<String> = words
        .into_iter()
        .filter_map(|(value, name, meaning)| {
            let value = value.filter(|&value| value > 0)?;
            Some(format!("  {:>14}  {name}: {meaning}", number(value)))
        })
        .collect();
    let title = if lines.is_empty() {
        "nothing refused, evicted or invalid"
    } else {
        ""
    };
    lines.insert(0, row("since boot", title).trim_end().to_owned());
    lines
}

fn namespaces(namespaces: &[Namespace]) -> Vec<String> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "NAMESPACE",
        "ENTRIES",
        "LIMIT",
        "FULL",
        "PER SECOND",
        "FULL IN",
        "REFUSED NOW",
    ]);
    for Namespace { used, forecast, .. } in namespaces.iter().take(NAMESPACES) {
        let unknown = || "-".to_owned();
        table.add_row([
            plain(&used.name),
            used.entries.map_or_else(unknown, number),
            used.max.map_or_else(unknown, number),
            used.share().map_or_else(unknown, percent),
            used.trend
                .map_or_else(unknown, |trend| format!("{trend:+.0}")),
            forecast.filling().map_or_else(unknown, full_in),
            used.refused.map_or_else(unknown, range),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if namespaces.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    lines.extend(table.lines().map(|line| line.trim_end().to_owned()));
    if namespaces.len() > NAMESPACES {
        lines.push(format!(
            "  and {} more, which are less full",
            namespaces.len() - NAMESPACES
        ));
    }
    lines
}

fn full_in(time: &TimeToFull) -> String {
    about(time.seconds, time.earliest, time.latest)
}

fn survives(report: &StatusReport) -> Vec<String> {
    let survives = &report.survives;
    let mut lines = vec![format!("{BOLD}Limit after{BOLD:#}")];
    let mut outcome = |when: &str, outcome: &Outcome| {
        lines.push(format!(
            "  {when:<18}{:>12}  {}",
            optional(outcome.value),
            place(outcome)
        ));
    };
    outcome("boot", &survives.boot);
    if survives.services.is_empty() {
        outcome("service restart", &survives.service_restart);
    }
    for service in &survives.services {
        outcome(&format!("{} restart", service.service), &service.outcome);
    }
    outcome("module reload", &survives.module_reload);
    lines
}

fn place(outcome: &Outcome) -> String {
    let origin = &outcome.origin;
    match origin.source() {
        Some(source) => plain(&format!("{source}: {}", origin.text())),
        None => plain(&origin.why()),
    }
}

fn backend(report: &StatusReport) -> Vec<String> {
    if report.root.is_some() {
        return Vec::new();
    }
    let expected = match report.expected_backend {
        Some(backend) => format!(
            "probably backend {backend}: {}; ctdrop probe tries it",
            match backend {
                Backend::Fexit | Backend::Kprobe => "every reason, every flow",
                Backend::Tracepoint => "flows of packets that got no entry",
                Backend::Counters => "how many packets, no flow",
            }
        ),
        None => "no backend works here: ctdrop probe says why".to_owned(),
    };
    vec![String::new(), row("ctdrop watch", &expected)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_claims_no_more_than_it_knows() {
        let totals = Totals {
            invalid: Some(300),
            drop: Some(0),
            ..Totals::default()
        };
        let lines = counters(&totals);
        assert_eq!(lines.len(), 2, "{lines:?}");
        // A rule such as nft's `ct state invalid drop` may have dropped them all.
        assert!(!lines[1].contains("let through"), "{}", lines[1]);
        assert!(
            lines[1].contains(
                "300  invalid: packets that conntrack found invalid; this counter does not say"
            ),
            "{}",
            lines[1]
        );
    }
}
