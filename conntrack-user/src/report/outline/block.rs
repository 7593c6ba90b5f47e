//! What a section is made of: paragraphs, lists and tables.

/// A part of a section.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) enum Block {
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
pub(in crate::report) struct Table {
    pub(in crate::report) caption: String,
    pub(in crate::report) columns: Vec<Column>,
    pub(in crate::report) rows: Vec<Vec<String>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Column {
    pub(in crate::report) title: String,
    /// Whether it has numbers.
    pub(in crate::report) numeric: bool,
}

/// Columns; those with numbers are marked by `#`.
pub(super) fn columns(titles: &[&str]) -> Vec<Column> {
    let each = titles.iter().map(|title| Column {
        title: title.trim_start_matches('#').to_owned(),
        numeric: title.starts_with('#'),
    });
    each.collect()
}

/// A table, if it has rows; without columns that are empty.
pub(super) fn table(caption: &str, titles: &[&str], mut rows: Vec<Vec<String>>) -> Option<Block> {
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
