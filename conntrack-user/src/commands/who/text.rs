//! A report as text for people.

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};

use crate::{
    commands::who::{
        report::{Dump, NamespaceReport},
        rows::{Group, Place, Row, ServiceName, TimeRange},
    },
    incident::{Culprit, FillingKind, Incident, Remedies, thresholds::IDLE, words},
    say::{
        number::{counted, counted_entries, number, optional, percent, seconds, share},
        port::{Services, endpoint, port_text},
        protocol::protocol_name,
        text::plain,
    },
    table::filter::Criterion,
};

const BOLD: Style = Style::new().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();

/// The lines of a report.
pub fn lines(report: &NamespaceReport, services: &Services) -> Vec<String> {
    let mut lines = vec![header(report)];
    lines.extend(incident(report, services));
    if report.entries > 0 {
        lines.push(evictable(report));
        lines.push(progress(report));
        lines.push(remaining("expire in", &report.remaining));
        lines.push(age(report));
    }
    lines.extend(table(("SOURCE", "sources"), &report.sources, |it| {
        owned(it, String::new())
    }));
    lines.extend(table(
        ("DESTINATION", "destinations"),
        &report.destinations,
        |it| owned(it, String::new()),
    ));
    lines.extend(table(("SERVICE", "services"), &report.services, |it| {
        service(it, services)
    }));
    if !report.owners.is_empty() {
        lines.extend(rows("CONTAINER, POD OR NAMESPACE", &report.owners, |it| {
            plain(&it.owner)
        }));
    }
    lines.extend(states(report));
    if report.zones.rows.iter().any(|row| row.key.zone != 0) {
        lines.extend(table(("ZONE", "zones"), &report.zones, |it| {
            it.zone.to_string()
        }));
    }
    if report.marks.rows.iter().any(|row| row.key.mark != 0) {
        lines.extend(table(("MARK", "marks"), &report.marks, |it| {
            format!("{:#x}", it.mark)
        }));
    }
    lines.extend(would_free(report));
    if let Some(saved) = &report.saved {
        lines.extend(saved.caveats.iter().cloned());
    } else {
        lines.extend(filters(&report.dump, report.entries));
        lines.extend(caveats(&report.dump));
    }
    lines
}

fn header(report: &NamespaceReport) -> String {
    let entries = match &report.saved {
        Some(_) => report.dump.received,
        None => report.dump.entries_before.unwrap_or(report.entries),
    };
    let of_max = report.max.map(|max| format!(" ({})", share(entries, max)));
    let container = report.container.iter().flat_map(|container| {
        let place = Some(container.to_string()).filter(|place| *place != report.name);
        place.into_iter().chain(container.details())
    });
    let mut called = vec![format!("{BOLD}{}{BOLD:#}", plain(&report.name))];
    called.extend(container.map(|part| plain(&part)));
    let asked = if report.dump.is_filtered() {
        format!("; {} match the options", number(report.entries))
    } else {
        String::new()
    };
    let of = match report.saved {
        Some(_) => counted_entries(entries),
        None => format!("{} of {} entries", number(entries), optional(report.max)),
    };
    format!(
        "{}: {of}{}{asked}",
        called.join(", "),
        of_max.unwrap_or_default(),
    )
}

fn incident(report: &NamespaceReport, services: &Services) -> Vec<String> {
    let incident = &report.incident;
    let about = if incident.filling.filtered {
        "; judged only by the entries that match the options"
    } else {
        ""
    };
    let mut lines = Vec::new();
    if incident.kind.is_refusal() {
        let why = words::kind(incident.kind);
        lines.push(format!("{BAD}{why}{BAD:#}"));
    }
    let style = match incident.filling.kind {
        FillingKind::TooFew | FillingKind::HonestLoad | FillingKind::NotSeen => GOOD,
        FillingKind::Leak
        | FillingKind::SpoofedFlood
        | FillingKind::Flood
        | FillingKind::Unknown => BAD,
    };
    let what = words::filling(incident.filling.kind);
    let culprit = culprit(incident, services);
    lines.push(format!("{style}{what}{style:#}{culprit}{about}"));
    let evidence = incident.evidence.iter().map(words::sign);
    lines.extend(evidence.map(|sign| format!("  {}", plain(&sign))));
    lines
}

/// Who fills the table, with the names of services that are asked for.
fn culprit(incident: &Incident, services: &Services) -> String {
    let (who, entries) = match &incident.culprit {
        Some(Culprit::Source {
            address,
            owner,
            entries,
        }) => (
            owned_by(format!("from {address}"), owner.as_deref()),
            entries,
        ),
        Some(Culprit::Service {
            service,
            owner,
            entries,
        }) => {
            let port = port_text(service.protocol, service.port, services);
            let place = endpoint(&service.address.to_string(), &port);
            let to = format!("to {} {place}", protocol_name(service.protocol));
            (owned_by(to, owner.as_deref()), entries)
        }
        Some(Culprit::Netns(_)) | None => return String::new(),
    };
    format!(", {who}: {}", counted_entries(*entries))
}

fn evictable(report: &NamespaceReport) -> String {
    let it = &report.evictable;
    let collector = if it.collector > 0 {
        format!(
            "; {} more (closing) by the garbage collector after the table has been full",
            number(it.collector)
        )
    } else {
        String::new()
    };
    let found = match report.eviction_chance {
        Some(chance) if it.early_drop > 0 => format!(
            " (when the table is full, it finds one for about {} of new flows)",
            percent(chance * 100.0)
        ),
        _ => String::new(),
    };
    format!(
        "evictable  up to {} ({}) by early_drop{found}{collector}; {} leave only by their timeout",
        number(it.early_drop),
        share(it.early_drop, report.entries),
        number(it.nobody)
    )
}

fn progress(report: &NamespaceReport) -> String {
    let it = &report.progress;
    let perhaps = if report.idle_unknown > 0 {
        format!(", {} more may be idle", number(report.idle_unknown))
    } else {
        String::new()
    };
    format!(
        "flows      {} assured, {} replied, {} unreplied; {} established TCP, {} of them idle for {} \
         or longer{perhaps}",
        number(it.assured),
        number(it.replied),
        number(it.unreplied),
        number(report.established),
        number(report.idle_established),
        seconds(IDLE)
    )
}

fn remaining(what: &str, ranges: &[TimeRange]) -> String {
    let parts: Vec<String> = ranges
        .iter()
        .enumerate()
        .filter(|(_, range)| range.entries > 0)
        .map(|(place, range)| {
            let time = if let Some(end) = range.below {
                format!("under {}", seconds(end))
            } else {
                let last = place.checked_sub(1).and_then(|it| ranges[it].below);
                format!("{} or more", seconds(last.unwrap_or(0)))
            };
            format!("{time}: {}", number(range.entries))
        })
        .collect();
    format!("{what:10} {}", parts.join(", "))
}

fn age(report: &NamespaceReport) -> String {
    if report.age.known == 0 {
        let why = match &report.saved {
            Some(_) => "the saved table does not tell it",
            None => "net.netfilter.nf_conntrack_timestamp is off",
        };
        return format!("age        unknown: {why}");
    }
    let unknown = report.entries.saturating_sub(report.age.known);
    let rest = if unknown > 0 {
        format!(", unknown: {}", number(unknown))
    } else {
        String::new()
    };
    remaining("age", &report.age.ranges) + &rest
}

fn table<T>(
    (what, plural): (&str, &str),
    group: &Group<T>,
    name: impl Fn(&T) -> String,
) -> Vec<String> {
    let mut lines = rows(what, &group.rows, name);
    if group.omitted > 0 || group.error_bound > 0 {
        let about = if group.error_bound > 0 { "about " } else { "" };
        let bound = if group.error_bound > 0 {
            format!(
                "; each count may be up to {} too low, because not all {plural} fit into memory",
                number(u64::from(group.error_bound))
            )
        } else {
            String::new()
        };
        lines.push(format!(
            "  {about}{} {plural}, top {} shown{bound}",
            number(group.distinct),
            group.rows.len()
        ));
    }
    lines
}

fn rows<T>(what: &str, rows: &[Row<T>], name: impl Fn(&T) -> String) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["ENTRIES", "EVICTABLE", "UNREPLIED", "IDLE", what]);
    for row in rows {
        let counts = [
            row.entries,
            row.evictable,
            row.unreplied,
            row.idle_established,
        ];
        let mut cells: Vec<String> = counts.map(|count| number(u64::from(count))).to_vec();
        cells.push(name(&row.key));
        table.add_row(cells);
    }
    let mut lines = vec![String::new()];
    lines.extend(aligned(&mut table, 4));
    lines
}

/// The table's lines, with its first columns aligned as numbers.
fn aligned(table: &mut Table, numbers: usize) -> Vec<String> {
    for column in 0..numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn states(report: &NamespaceReport) -> Vec<String> {
    if report.states.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["ENTRIES", "PROTO", "STATE", "PROGRESS"]);
    for row in &report.states {
        let progress = format!("{:?}", row.progress).to_lowercase();
        table.add_row([
            number(row.entries),
            row.protocol.clone(),
            row.state.unwrap_or("-").to_owned(),
            progress,
        ]);
    }
    let mut lines = vec![String::new()];
    lines.extend(aligned(&mut table, 1));
    lines
}

fn would_free(report: &NamespaceReport) -> Vec<String> {
    let Remedies { netns, list } = &report.would_free;
    if list.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), "what would free the most entries".to_owned()];
    for remedy in list {
        lines.push(format!(
            "  {:>9}  {}",
            number(remedy.entries().unwrap_or(0)),
            plain(&words::what(remedy))
        ));
        lines.push(format!(
            "             {}",
            plain(&words::how(remedy, netns))
        ));
    }
    lines
}

/// How the entries were chosen.
fn filters(dump: &Dump, entries: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let names = |criteria: &[Criterion]| {
        let names: Vec<&str> = criteria.iter().map(|it| it.name()).collect();
        names.join(", ")
    };
    if !dump.filtered_by_kernel.is_empty() {
        lines.push(format!(
            "the kernel filtered by {}",
            names(&dump.filtered_by_kernel)
        ));
    }
    if !dump.filtered_here.is_empty() {
        lines.push(format!(
            "ctdrop filtered by {} (this kernel cannot): {} of {} match",
            names(&dump.filtered_here),
            number(entries),
            counted_entries(dump.received)
        ));
    }
    lines
}

/// What may be wrong about the numbers.
fn caveats(dump: &Dump) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(before), Some(after)) = (dump.entries_before, dump.entries_after)
        && before != after
    {
        lines.push(format!(
            "the table changed during the dump of {:.1} s: {} before, {} after",
            dump.seconds,
            counted_entries(before),
            number(after)
        ));
    }
    if dump.resized {
        lines.push(
            "the number of buckets changed during the dump: entries may be missing or counted \
             twice"
                .to_owned(),
        );
    }
    if dump.interrupted {
        lines.push(
            "the kernel reports that the table changed during the dump: entries may be missing"
                .to_owned(),
        );
    }
    if dump.overruns > 0 {
        lines.push(format!(
            "the kernel had no memory for the dump {} (ENOBUFS): entries may be missing",
            counted(dump.overruns, "time")
        ));
    }
    if dump.unreadable > 0 {
        lines.push(match dump.unreadable {
            1 => "1 entry could not be read and is not counted".to_owned(),
            several => format!(
                "{} entries could not be read and are not counted",
                number(several)
            ),
        });
    }
    lines
}

fn service(it: &ServiceName, services: &Services) -> String {
    let port = port_text(it.number, it.raw_port, services);
    let text = endpoint(&it.place.address.to_string(), &port);
    owned(&it.place, format!("{} {text}", it.protocol))
}

/// An address, or a text about it, with its owner.
fn owned(place: &Place, text: String) -> String {
    let text = if text.is_empty() {
        place.address.to_string()
    } else {
        text
    };
    owned_by(text, place.owner.as_deref())
}

fn owned_by(text: String, owner: Option<&str>) -> String {
    match owner {
        Some(owner) => format!("{text} ({})", plain(owner)),
        None => text,
    }
}
