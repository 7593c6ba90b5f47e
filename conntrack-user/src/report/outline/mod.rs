//! A report as sections of paragraphs, lists and tables: what Markdown and HTML have in
//! common.

mod culprits;
mod limits;
mod tail;
mod timeline;
mod victims;
mod why;

pub(super) use timeline::{lane, limit, points};

use crate::report::{
    model::Report,
    sentences::{self, moment},
};

/// A part of a report.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) blocks: Vec<Block>,
}

/// A part of a section.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Block {
    /// A paragraph.
    Text(String),
    /// A heading within the section.
    Heading(String),
    /// A list.
    List(Vec<String>),
    /// A table.
    Table(Table),
    /// Lines as they are, with what they are.
    Code(String, Vec<String>),
    /// The charts of the timeline, and their numbers.
    Timeline,
}

/// A table. The first column is the head of its row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<String>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) title: String,
    /// Whether it has numbers.
    pub(super) numeric: bool,
}

/// Columns; those with numbers are marked by `#`.
fn columns(titles: &[&str]) -> Vec<Column> {
    let each = titles.iter().map(|title| Column {
        title: title.trim_start_matches('#').to_owned(),
        numeric: title.starts_with('#'),
    });
    each.collect()
}

/// A table, if it has rows; without columns that are empty.
fn table(caption: &str, titles: &[&str], mut rows: Vec<Vec<String>>) -> Option<Block> {
    let mut columns = columns(titles);
    let is_used = |rows: &[Vec<String>], place: usize| {
        place == 0
            || rows
                .iter()
                .any(|row| row.get(place).is_some_and(|cell| !cell.is_empty()))
    };
    for place in (0..columns.len()).rev() {
        if !is_used(&rows, place) {
            columns.remove(place);
            for row in &mut rows {
                row.remove(place);
            }
        }
    }
    (!rows.is_empty()).then(|| {
        Block::Table(Table {
            caption: caption.to_owned(),
            columns,
            rows,
        })
    })
}

/// The title of a report.
pub(super) fn title(report: &Report) -> String {
    match report.incident {
        Some(id) => format!("Conntrack incident {id}"),
        None => "Conntrack report".to_owned(),
    }
}

/// Which time it is about, and when it was made.
pub(super) fn subtitle(report: &Report) -> String {
    let masked = if report.redacted {
        "; addresses and names are masked"
    } else {
        ""
    };
    format!(
        "{} to {}; made {} by ctdrop {}{masked}",
        moment(&report.since),
        moment(&report.until),
        moment(&report.time),
        report.version
    )
}

/// The sections of a report, in order.
pub(super) fn sections(report: &Report) -> Vec<Section> {
    let section = |title, blocks| Section { title, blocks };
    vec![
        section("Timeline", timeline::blocks(report)),
        section("Who was hit", victims::blocks(&report.victims)),
        section("Who filled the table", culprits::blocks(&report.censuses)),
        section("Why", why::blocks(&report.incidents)),
        section(
            "The limit, and what survives",
            limits::blocks(&report.limits),
        ),
        section("Fixes", tail::fixes(report)),
        section("Host", tail::hosts(&report.hosts)),
        section("Method and exactness", tail::method(&report.method)),
    ]
}

/// Reasons as text.
fn reason(name: &str) -> String {
    sentences::reason(name).to_owned()
}

/// The most characters of a text from outside.
const LONGEST: usize = 400;

/// A text from outside without what a terminal or a page would act on: control
/// characters, and marks that change the direction of text or are not seen.
pub(super) fn shown(text: &str) -> String {
    cut(text, LONGEST)
}

/// The same, of sentences of ours with such texts in them.
pub(super) fn sentence(text: &str) -> String {
    cut(text, 10 * LONGEST)
}

fn cut(text: &str, longest: usize) -> String {
    let unseen = |char: char| {
        char.is_control()
            || matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
    };
    let mut shown: String = text
        .chars()
        .take(longest)
        .map(|char| if unseen(char) { '\u{fffd}' } else { char })
        .collect();
    if text.chars().nth(longest).is_some() {
        shown.push('…');
    }
    shown
}
