//! The options of a report.

use std::path::PathBuf;

use crate::logs::time::When;

/// The options of a report.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which incident or time.
    pub of: Of,
    /// In which form.
    pub format: Format,
    /// The file to write to; standard output if none is given.
    pub out: Option<PathBuf>,
    /// Whether addresses and names are masked.
    pub redact: bool,
    /// The file of evidence.
    pub file: PathBuf,
    /// Directories or files with the evidence of several hosts, instead of that file.
    pub from: Vec<PathBuf>,
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The last incident.
    Last,
    /// The incident of that number.
    Incident(i64),
    /// All evidence of a time.
    Time {
        /// Its begin; by default that of the evidence.
        since: Option<When>,
        /// Its end; by default now.
        until: Option<When>,
    },
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One file that a browser shows.
    #[default]
    Html,
    /// Markdown.
    Md,
    /// One JSON object, docs/json.md.
    Json,
}
