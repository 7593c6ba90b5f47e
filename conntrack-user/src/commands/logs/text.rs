//! The report as people read it.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use jiff::tz::TimeZone;

use crate::{
    commands::logs::{
        report::{Load, LogReport, Minute, Netns},
        words::packets_refused,
    },
    logs::account::tally::PacketBounds,
    say::{
        clock::{retold_in, shown_in},
        number::{counted, number, span},
        text::plain,
    },
};

/// Rows of a table that are shown: the ones with the most drops.
const ROWS: usize = 12;

/// The lines of the report; times are in that zone.
pub fn report(report: &LogReport, zone: &TimeZone) -> Vec<String> {
    let mut lines = headline(report, zone);
    if report.by_minute.len() > 1 {
        lines.extend(minutes(report, zone));
    }
    if report.by_host.len() > 1 {
        lines.extend(hosts(report, zone));
    }
    lines.extend(namespaces(report));
    lines.extend(loads(&report.module_loads, zone));
    lines.extend(advice(report));
    lines.extend(not_counted(report, zone));
    lines
}

fn headline(report: &LogReport, zone: &TimeZone) -> Vec<String> {
    let sources = plain(&sources(report));
    if report.lines == 0 {
        return nothing(report, &sources, zone);
    }
    let mut lines = vec![
        format!("{}: the table was full", packets_refused(report.drops)),
        format!("  {} in {sources}", counted(report.lines, "line")),
    ];
    if report.lines_as_user > 0 {
        lines.push(format!(
            "  {} under the facility user: the klogd of BusyBox writes so if it is linked with \
             glibc, but any program can",
            counted(report.lines_as_user, "line")
        ));
    }
    if report.suppressed > 0 {
        lines.push(format!(
            "  the kernel suppressed {} at the same time: each may be a refused packet",
            counted(report.suppressed, "more network message")
        ));
    }
    if report.drops.open {
        let why = if report.damaged_reports {
            "a line in which the kernel reports what it suppressed is damaged"
        } else if report.lacks_reports {
            "the lines in which the kernel reports what it suppressed are missing in this excerpt"
        } else {
            "the kernel reports what it suppressed only with its next message, and the log has \
             none after the last burst"
        };
        lines.push(format!("  how many more is not known: {why}"));
    }
    lines.extend(period(report, zone));
    lines.extend(pause(report));
    lines.extend(recorded(report, zone));
    lines
}

/// The names of the logs, shortened.
fn sources(report: &LogReport) -> String {
    match report.sources.as_slice() {
        [] => String::new(),
        [one] => one.source.clone(),
        [first, .., last] => format!(
            "{} … {} ({} files)",
            first.source,
            last.source,
            report.sources.len()
        ),
    }
}

/// When the first and the last line were written.
fn period(report: &LogReport, zone: &TimeZone) -> Option<String> {
    match (&report.first, &report.last, report.uptime) {
        (Some(first), Some(last), _) if first == last => {
            Some(format!("  at {}", shown_in(first, zone)))
        }
        (Some(first), Some(last), _) => Some(format!(
            "  from {} to {}",
            shown_in(first, zone),
            shown_in(last, zone)
        )),
        (_, _, Some(uptime)) => Some(format!(
            "  from {:.0} to {:.0} s after the kernel's start",
            uptime.first, uptime.last
        )),
        _ => None,
    }
}

/// How long it was quiet between bursts.
fn pause(report: &LogReport) -> Option<String> {
    let quiet = report.bursts.iter().filter_map(|burst| burst.quiet_before);
    let minutes = quiet.max()? / 60;
    let longest = Duration::from_secs(u64::try_from(minutes * 60).unwrap_or(0));
    Some(format!(
        "  in {} bursts; the longest pause between two was {}",
        report.bursts.len(),
        span(longest)
    ))
}

/// What ctdrop has counted at the time of bursts, of those with the most packets.
fn recorded(report: &LogReport, zone: &TimeZone) -> Vec<String> {
    let known = report.bursts.iter();
    let mut known: Vec<_> = known
        .filter_map(|burst| Some((burst, burst.recorded.as_ref()?)))
        .collect();
    let count = known.len();
    known.sort_by_key(|(_, recorded)| std::cmp::Reverse(recorded.packets));
    known.truncate(ROWS);
    known.sort_by(|(one, _), (other, _)| one.first.cmp(&other.first));
    let lines = known.iter().map(|(burst, recorded)| {
        let PacketBounds {
            at_least, at_most, ..
        } = burst.drops;
        let shown = match (burst.drops.open, at_least == at_most) {
            (true, _) => format!("{} packets or more", number(at_least)),
            (false, true) => counted(at_least, "packet"),
            (false, false) => format!("{} to {} packets", number(at_least), number(at_most)),
        };
        format!(
            "  {}: the kernel's log shows {shown}; ctdrop recorded {}{}",
            shown_in(&burst.first, zone),
            // Both cannot be right: a warning says so.
            if recorded.packets < at_least {
                "only "
            } else {
                "exactly "
            },
            number(recorded.packets)
        )
    });
    lines.chain(more(count)).collect()
}

/// Says that there is no line, or that none matches the options.
fn nothing(report: &LogReport, sources: &str, zone: &TimeZone) -> Vec<String> {
    let filtered_out = &report.filtered_out;
    if filtered_out.by_host == 0 && filtered_out.by_time == 0 {
        let mut lines = vec![format!("no line about a full table in {sources}")];
        if report.expectation_lines > 0 {
            lines.push(format!(
                "  {} that there were too many expected connections, which is another table",
                match report.expectation_lines {
                    1 => "1 line says".to_owned(),
                    more => format!("{} lines say", number(more)),
                }
            ));
        }
        return lines;
    }
    let mut lines = vec![format!(
        "no line about a full table in {sources} matches the options"
    )];
    if filtered_out.by_host > 0 {
        let hosts: Vec<_> = filtered_out
            .hosts
            .iter()
            .map(|host| host.as_deref().map_or("unnamed".to_owned(), plain))
            .collect();
        lines.push(format!(
            "  --host filters out {}; hosts: {}",
            counted(filtered_out.by_host, "line"),
            hosts.join(", ")
        ));
    }
    if filtered_out.by_time > 0 {
        let times = match (&filtered_out.first, &filtered_out.last) {
            (Some(first), Some(last)) => {
                format!(
                    " from {} to {}",
                    shown_in(first, zone),
                    shown_in(last, zone)
                )
            }
            _ => " without a time of day".to_owned(),
        };
        lines.push(format!(
            "  --since and --until filter out {}{times}",
            counted(filtered_out.by_time, "line")
        ));
    }
    lines
}

/// The upper bound, as far as there is one.
fn at_most(range: PacketBounds) -> String {
    let bound = number(range.at_most);
    if range.open {
        format!("unknown: {bound} or more")
    } else {
        bound
    }
}

fn table(header: &[&str], rows: &[Vec<String>], numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut lines = vec![String::new()];
    lines.extend(table.lines().map(|line| line.trim_end().to_owned()));
    lines
}

/// The minutes with the most drops, in order.
fn minutes(report: &LogReport, zone: &TimeZone) -> Vec<String> {
    let mut worst: Vec<&Minute> = report.by_minute.iter().collect();
    worst.sort_by_key(|minute| std::cmp::Reverse(minute.drops.at_most));
    worst.truncate(ROWS);
    let shown = |minute: &&Minute| worst.iter().any(|worst| std::ptr::eq(*worst, *minute));
    let rows: Vec<_> = report
        .by_minute
        .iter()
        .filter(shown)
        .map(|minute| {
            let time = match (&minute.minute, minute.uptime) {
                (Some(time), _) => shown_in(time, zone),
                (None, Some(uptime)) => format!("{uptime} s after start"),
                (None, None) => "unknown time".to_owned(),
            };
            let drops = minute.drops;
            vec![number(drops.at_least), at_most(drops), time]
        })
        .collect();
    let mut lines = table(&["AT LEAST", "AT MOST", "MINUTE"], &rows, 0..2);
    lines.extend(more(report.by_minute.len()));
    lines
}

fn more(rows: usize) -> Option<String> {
    (rows > ROWS).then(|| format!("  and {} more (-o json)", number((rows - ROWS) as u64)))
}

fn hosts(report: &LogReport, zone: &TimeZone) -> Vec<String> {
    let mut hosts: Vec<_> = report.by_host.iter().collect();
    hosts.sort_by_key(|host| std::cmp::Reverse(host.drops.at_most));
    let when = |time: &Option<String>| {
        time.as_deref()
            .map_or_else(String::new, |time| shown_in(time, zone))
    };
    let rows: Vec<_> = hosts
        .iter()
        .take(ROWS)
        .map(|host| {
            vec![
                number(host.drops.at_least),
                at_most(host.drops),
                host.host
                    .as_deref()
                    .map_or_else(|| "unnamed".to_owned(), plain),
                when(&host.first),
                when(&host.last),
            ]
        })
        .collect();
    let mut lines = table(
        &["AT LEAST", "AT MOST", "HOST", "FIRST", "LAST"],
        &rows,
        0..2,
    );
    lines.extend(more(hosts.len()));
    lines
}

fn namespaces(report: &LogReport) -> Vec<String> {
    let named = |place: &&Netns| place.netns.is_some() || place.container.is_some();
    if !report.by_netns.iter().any(|place| named(&place)) {
        return Vec::new();
    }
    let mut places: Vec<_> = report.by_netns.iter().collect();
    places.sort_by_key(|place| std::cmp::Reverse(place.lines));
    let rows: Vec<_> = places
        .iter()
        .take(ROWS)
        .map(|place| {
            let name = match (place.netns, place.container) {
                (Some(netns), _) => match &place.name {
                    Some(name) => format!("{} (net:[{netns}])", plain(name)),
                    None => format!("net:[{netns}]"),
                },
                (None, Some(container)) => format!("OpenVZ container {container}"),
                (None, None) => "the host, or unnamed".to_owned(),
            };
            vec![number(place.lines), name]
        })
        .collect();
    let mut lines = table(&["LINES", "NETNS"], &rows, 0..1);
    lines.extend(more(places.len()));
    lines
}

fn loads(loads: &[Load], zone: &TimeZone) -> Vec<String> {
    if loads.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    for load in loads.iter().rev().take(ROWS).rev() {
        lines.push(format!(
            "{} {}{} with a limit of {} and {} buckets{}",
            load.module,
            if load.reload {
                "loaded AGAIN"
            } else {
                "loaded"
            },
            load.time
                .as_deref()
                .map_or_else(String::new, |time| format!(" at {}", shown_in(time, zone))),
            number(load.max),
            number(load.buckets),
            if load.reload {
                ": the limit was reset"
            } else {
                ""
            },
        ));
    }
    lines
}

fn advice(report: &LogReport) -> Vec<String> {
    let mut lines = Vec::new();
    for advice in &report.advice {
        lines.push(String::new());
        lines.push(format!("{} ({})", advice.what, advice.why));
        lines.extend(advice.remedy.iter().map(|step| format!("  - {step}")));
    }
    lines
}

fn not_counted(report: &LogReport, zone: &TimeZone) -> Vec<String> {
    let mut lines = Vec::new();
    let skipped = report.skipped.lines;
    if skipped.total() > 0 {
        let why = [
            (skipped.cut, "cut off"),
            (skipped.not_kernel, "not written by the kernel"),
            (skipped.binary, "with control bytes"),
            (skipped.long, "too long"),
        ];
        let why = why
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{} {why}", number(*count)))
            .collect::<Vec<_>>();
        lines.push(format!(
            "not counted: {} about a full table ({})",
            counted(skipped.total(), "line"),
            why.join(", ")
        ));
    }
    if report.suppressed_elsewhere > 0 && report.lines > 0 {
        lines.push(format!(
            "not counted: {} that are not close to a line about a full table",
            counted(report.suppressed_elsewhere, "suppressed message")
        ));
    }
    if report.skipped.lost > 0 {
        lines.push(format!(
            "lost: {} that the kernel overwrote before they could be read",
            counted(report.skipped.lost, "record")
        ));
    }
    for source in &report.skipped.sources {
        lines.push(plain(&format!("not read: {source}")));
    }
    lines.extend(
        report
            .warnings
            .iter()
            .map(|warning| retold_in(&plain(warning), zone)),
    );
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}
