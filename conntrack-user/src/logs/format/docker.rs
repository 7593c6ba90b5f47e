//! The log of a container as Docker keeps it (`json-file`): a line of JSON for each line that
//! was printed, as `{"log":"…\\n","stream":"stdout","time":"2026-03-12T13:40:34.1Z"}`.

use serde::Deserialize;

use crate::logs::format::stamp::{Cursor, Stamp};

/// A line that a container has printed.
#[derive(Debug, Deserialize)]
pub(in crate::logs) struct Printed {
    /// The line.
    pub(in crate::logs) log: String,
    time: String,
}

impl Printed {
    /// Reads a line of such a log. None: it is not one.
    pub(in crate::logs) fn parse(line: &[u8]) -> Option<Self> {
        line.starts_with(b"{")
            .then(|| serde_json::from_slice(line).ok())?
    }

    /// When it was printed.
    pub(in crate::logs) fn stamp(&self) -> Option<Stamp> {
        Cursor(self.time.as_bytes()).iso()
    }
}
