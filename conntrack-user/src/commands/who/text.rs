//! A report as text for people.

use anstyle::{AnsiColor, Style};

use crate::{
    commands::who::{
        by::By,
        report::{Dump, NamespaceReport},
        rows::TimeRange,
        tables::{self, owned_by},
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

/// The lines of a report, with all tables.
pub fn lines(report: &NamespaceReport, services: &Services) -> Vec<String> {
    let mut lines = about(report, services);
    if report.entries > 0 {
        lines.push(evictable(report));
        lines.push(progress(report));
        lines.push(remaining("expire in", &report.remaining));
        lines.push(age(report));
    }
    lines.extend(tables::lines(report, services));
    lines.extend(would_free(report));
    lines.extend(remarks(report));
    lines
}

/// The lines of a report, with one table.
pub(super) fn lines_by(report: &NamespaceReport, services: &Services, by: By) -> Vec<String> {
    let mut lines = about(report, services);
    lines.extend(tables::one(report, services, by));
    lines.extend(remarks(report));
    lines
}

/// Which table it is, how full, and why.
fn about(report: &NamespaceReport, services: &Services) -> Vec<String> {
    let mut lines = vec![header(report)];
    lines.extend(incident(report, services));
    lines
}

/// What may be wrong about the numbers of a namespace, which the lines name.
pub(super) fn caveats_of(report: &NamespaceReport) -> Vec<String> {
    let name = plain(&report.name);
    let caveats = caveats(&report.dump).into_iter();
    caveats.map(|caveat| format!("{name}: {caveat}")).collect()
}

/// How entries were chosen, and what may be wrong about the numbers.
fn remarks(report: &NamespaceReport) -> Vec<String> {
    if let Some(saved) = &report.saved {
        return saved.caveats.clone();
    }
    let mut lines = filters(&report.dump, report.entries);
    lines.extend(caveats(&report.dump));
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
