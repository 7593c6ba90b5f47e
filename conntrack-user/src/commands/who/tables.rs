//! The tables of a report: entries by source, destination, service and so on.

use comfy_table::{CellAlignment, Table, presets};

use crate::{
    commands::who::{
        by::By,
        report::NamespaceReport,
        rows::{Group, Name, Place, Row, ServiceName},
    },
    say::{
        number::number,
        port::{Services, endpoint, port_text},
        text::plain,
    },
};

/// All tables that say something.
pub(super) fn lines(report: &NamespaceReport, services: &Services) -> Vec<String> {
    By::ALL
        .into_iter()
        .filter(|by| match by {
            By::Zone => report.zones.rows.iter().any(|row| row.key.zone != 0),
            By::Mark => report.marks.rows.iter().any(|row| row.key.mark != 0),
            _ => true,
        })
        .flat_map(|by| one(report, services, by))
        .collect()
}

/// One table of a namespace; no line if it is empty. The table of namespaces is
/// [`of_namespaces`].
pub(super) fn one(report: &NamespaceReport, services: &Services, by: By) -> Vec<String> {
    match by {
        By::Src => table(("SOURCE", "sources"), &report.sources, |it| {
            owned(it, String::new())
        }),
        By::Dst => table(
            ("DESTINATION", "destinations"),
            &report.destinations,
            |it| owned(it, String::new()),
        ),
        By::Service => table(("SERVICE", "services"), &report.services, |it| {
            service(it, services)
        }),
        By::Netns => Vec::new(),
        By::Owner => rows("CONTAINER, POD OR NAMESPACE", &report.owners, |it| {
            plain(&it.owner)
        }),
        By::State => states(report),
        By::Zone => table(("ZONE", "zones"), &report.zones, |it| it.zone.to_string()),
        By::Mark => table(("MARK", "marks"), &report.marks, |it| {
            format!("{:#x}", it.mark)
        }),
    }
}

/// A table of namespaces, those with most entries first.
pub(super) fn of_namespaces(mut each: Vec<Row<Name>>, top: usize) -> Vec<String> {
    each.sort_by_key(|row| std::cmp::Reverse(row.entries));
    let all = each.len();
    each.truncate(top);
    let mut lines = rows("NAMESPACE", &each, |it| plain(&it.name));
    if all > each.len() {
        lines.push(format!(
            "  {} namespaces, top {} shown",
            number(all as u64),
            each.len()
        ));
    }
    // Nothing is printed before it, so it needs no empty line above.
    lines.into_iter().skip(1).collect()
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

/// A text about an address with its owner.
pub(super) fn owned_by(text: String, owner: Option<&str>) -> String {
    match owner {
        Some(owner) => format!("{text} ({})", plain(owner)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, entries: u32) -> Row<Name> {
        Row {
            key: Name {
                name: name.to_owned(),
            },
            entries,
            evictable: 1,
            unreplied: 2,
            idle_established: 3,
        }
    }

    #[test]
    fn the_fullest_namespaces_come_first() {
        let each = || vec![row("host", 5), row("red\x1b", 7000), row("blue", 9)];
        let lines = of_namespaces(each(), 2);
        assert!(lines[0].contains("ENTRIES") && lines[0].ends_with("NAMESPACE"));
        assert!(lines[1].trim_start().starts_with("7,000 ") && lines[1].ends_with("red\u{fffd}"));
        assert!(lines[2].ends_with(" blue"));
        assert_eq!(lines[3..], ["  3 namespaces, top 2 shown"]);
        assert_eq!(of_namespaces(each(), 3).len(), 4);
        assert!(of_namespaces(Vec::new(), 3).is_empty());
    }
}
