//! What a script does to the world outside of it.

use crate::facts::reader::Source;

/// Something that a script does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    /// What.
    pub(crate) does: Does,
    /// The line.
    pub(crate) at: Source,
    /// Whether it surely comes to that.
    pub(crate) certain: bool,
}

/// What a script can do. What only the shell could tell is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Writes a text to a file.
    Writes {
        /// The file.
        path: Option<String>,
        /// The text.
        text: Option<String>,
    },
    /// Runs a program.
    Runs {
        /// Its name and arguments.
        words: Vec<Option<String>>,
        /// What it reads on standard input.
        input: Option<String>,
    },
    /// Something that only the shell could tell: `eval`, a syntax error, a file
    /// that is not there.
    Anything,
}
