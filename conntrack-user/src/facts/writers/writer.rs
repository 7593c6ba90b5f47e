//! Somebody who writes the limit, and how what they write is read.

use serde::Serialize;

use crate::facts::{
    reader::{Source, TextFile},
    sysctl::{Key, Variable, line::number},
};

/// Somebody else who writes the limit, or takes away what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Writer {
    /// Its name.
    pub name: &'static str,
    /// What shows that it is here.
    pub evidence: Vec<Source>,
    /// Whether it does anything on this host, as far as can be told.
    pub active: bool,
    /// What it does to the limit.
    pub behaviour: String,
    /// Where the limit is to be set instead.
    pub knob: String,
    /// What it sets; none for one that sets nothing by itself, or is accounted
    /// for elsewhere.
    pub sets: Option<Sets>,
}

/// The name of scripts and units that set the limit with a command.
pub(super) const SCRIPT: &str = "script";

impl Writer {
    /// What to call it in a sentence: its name, or the path of a script.
    pub fn title(&self) -> String {
        match self.evidence.first() {
            Some(line) if self.name == SCRIPT => line.file.display().to_string(),
            _ => self.name.to_owned(),
        }
    }
}

/// What somebody sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sets {
    /// The limit; none if it cannot be told.
    pub max: Option<u64>,
    /// The buckets; none if they are left alone.
    pub buckets: Option<u64>,
    /// When.
    pub timing: Timing,
    /// The line that decides.
    pub source: Source,
    /// Whether files of sysctls are then applied once more, which wins.
    pub reapplies: bool,
}

/// When somebody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// When it starts, at boot.
    AtStart,
    /// Again and again, whenever the value is another one.
    Always,
}

/// The number after a flag or a key, in any of the forms `--flag=N`, `flag: N`,
/// `"flag=N"`; with the line. Comments are left out.
pub(super) fn value_of(text: &TextFile, flag: &str) -> Option<(u64, Source)> {
    text.lines()
        .filter(|(_, line)| !line.trim_start().starts_with('#'))
        .find_map(|(at, line)| {
            let (_, rest) = line.split_once(flag)?;
            let rest = rest.trim_start_matches(['=', ':', ' ', '\t', '"', '\'', ',', '\0', '\\']);
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            Some((rest[..end].parse().ok()?, text.source(at, line)))
        })
}

/// The value of a line that assigns in the form of sysctl files.
pub(super) fn assigned(key: &str, value: &str) -> Option<(Variable, Option<u64>)> {
    let key = Key::parse(key.trim());
    Some((key.variable()?, number(value.trim())))
}
