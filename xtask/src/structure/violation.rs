//! One thing in the sources that should not be, and where it is.

use std::{fmt, path::PathBuf};

/// One thing in the sources that should not be.
#[derive(Debug, PartialEq)]
pub(super) struct Violation {
    /// The file or folder, relative to the workspace.
    pub(super) path: PathBuf,
    /// The line, counted from 1, if it is about one.
    pub(super) line: Option<usize>,
    /// What is wrong there.
    pub(super) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}
