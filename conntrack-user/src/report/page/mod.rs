//! A report as one HTML file: it requests nothing, has no script, and can be printed.

mod chart;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    report::{
        fleet::Fleet,
        model::Report,
        outline::{self, Block, Column, Section, Table, sentence, shown},
    },
    say::number::{limit, number, optional},
};

const STYLE: &str = include_str!("style.css");

/// Nothing is requested, and nothing is run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Writes a report.
pub fn page(report: &Report) -> String {
    document(
        &outline::title(report),
        &outline::subtitle(report),
        &figures(report),
        &outline::sections(report),
        report,
    )
}

/// Writes a report on several hosts.
pub fn fleet_page(fleet: &Fleet) -> String {
    document(
        outline::fleet::TITLE,
        &outline::fleet::subtitle(fleet),
        &fleet_figures(fleet),
        &outline::fleet::sections(fleet),
        &fleet.as_report(),
    )
}

/// A page; `report` has its summary and its timeline.
fn document(
    title: &str,
    subtitle: &str,
    figures: &Markup,
    sections: &[Section],
    report: &Report,
) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.subtitle { (subtitle) }
                    (summary(report))
                    (figures)
                    nav aria-label="Sections" {
                        ul {
                            @for section in sections {
                                li { a href={ "#" (slug(section.title)) } { (section.title) } }
                            }
                        }
                    }
                }
                main {
                    @for section in sections { (self::section(section, report)) }
                }
            }
        }
    };
    page.into_string()
}

fn summary(report: &Report) -> Markup {
    let summary = &report.summary;
    html! {
        section.summary aria-label="Summary" {
            p { (sentence(&summary.what)) }
            p { (sentence(&summary.who)) }
            p { (sentence(&summary.now)) }
        }
    }
}

/// The most important numbers.
fn figures(report: &Report) -> Markup {
    let incident = report
        .incidents
        .first()
        .filter(|_| report.incident.is_some());
    let refused = incident.map_or(report.victims.refused, |incident| incident.refused);
    let entries = report
        .timeline
        .points
        .iter()
        .filter_map(|point| point.entries);
    let max = report
        .timeline
        .points
        .iter()
        .rev()
        .find_map(|point| point.max);
    let of = format!("entries at the highest point; limit {}", limit(max));
    // The store does not tell these by namespace.
    let whole_host = incident.map_or("", |_| ", on the whole host");
    html! {
        ul.figures {
            li { strong { (number(refused)) } " packets refused" }
            li { strong { (number(report.victims.new_flows)) } " flows refused for the first time" (whole_host) }
            li { strong { (number(report.method.log.lines)) } " lines about a full table in the kernel's log" }
            li { strong { (optional(entries.max())) } " " (of) }
        }
    }
}

/// The same of several hosts.
fn fleet_figures(fleet: &Fleet) -> Markup {
    html! {
        ul.figures {
            li { strong { (number(fleet.totals.refused)) } " packets refused" }
            li { strong { (number(fleet.totals.hosts_refusing)) } " of " (number(fleet.totals.hosts)) " hosts refused packets" }
            li { strong { (number(fleet.totals.incidents)) } " incidents" }
            li { strong { (number(fleet.unread.len() as u64)) } " databases could not be read" }
            @if !fleet.left_out.is_empty() {
                li { strong { (number(fleet.left_out.len() as u64)) } " databases left out, because their host is counted already" }
            }
        }
    }
}

/// The name of a section in a link.
fn slug(title: &str) -> String {
    let letters = title.chars().filter(|char| *char != ',');
    let dashed = letters.map(|char| if char == ' ' { '-' } else { char });
    dashed.collect::<String>().to_lowercase()
}

fn section(section: &Section, report: &Report) -> Markup {
    html! {
        section id=(slug(section.title)) {
            h2 { (section.title) }
            @for block in &section.blocks { (self::block(block, report)) }
        }
    }
}

fn block(block: &Block, report: &Report) -> Markup {
    html! {
        @match block {
            Block::Text(text) => p { (sentence(text)) },
            Block::Heading(text) => h3 { (shown(text)) },
            Block::List(items) => ul { @for item in items { li { (sentence(item)) } } },
            Block::Table(it) => (table(it)),
            Block::Code(caption, lines) => figure {
                figcaption { (shown(caption)) }
                pre { @for line in lines { code { (shown(line)) } "\n" } }
            },
            Block::Timeline => (timeline(report)),
        }
    }
}

/// The charts, and their numbers as a table.
fn timeline(report: &Report) -> Markup {
    let timeline = &report.timeline;
    let rows = u64::try_from(timeline.points.len()).unwrap_or(u64::MAX);
    html! {
        (chart::charts(report))
        details {
            summary { "The numbers of these charts as a table: " (number(rows)) " rows" }
            div.points { (table(&outline::points(timeline))) }
        }
    }
}

fn table(table: &Table) -> Markup {
    html! {
        table {
            caption { (shown(&table.caption)) }
            thead { tr { @for column in &table.columns {
                th scope="col" class=[class(column)] { (shown(&column.title)) }
            } } }
            tbody { @for row in &table.rows { (cells(&table.columns, row)) } }
        }
    }
}

/// A row; each cell says its column, for screens on which rows stand one below the other.
fn cells(columns: &[Column], row: &[String]) -> Markup {
    let mut cells = columns.iter().zip(row);
    let first = cells.next();
    html! {
        tr {
            @if let Some((column, cell)) = first {
                th scope="row" class=[class(column)] { (shown(cell)) }
            }
            @for (column, cell) in cells {
                td class=[class(column)] data-label=(shown(&column.title)) { (shown(cell)) }
            }
        }
    }
}

fn class(column: &Column) -> Option<&'static str> {
    column.numeric.then_some("number")
}
