//! What a script finds where it runs: a shell, and files.

use crate::facts::reader::TextFile;

/// Which shell runs a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// bash, also under the name of `sh`.
    Bash,
    /// `sh`, of which it is not known which one that is: what only bash has is
    /// not known.
    Sh,
}

/// The files that a script can read.
pub(crate) trait Files {
    /// A file's text; none if there is none, or that is not known.
    fn read(&self, path: &str) -> Option<TextFile>;
    /// Whether a file is there when the script runs; none if that is not known.
    fn exists(&self, path: &str) -> Option<bool>;
    /// The names in a directory, sorted by byte; none if there is none, or that is not
    /// known.
    fn names(&self, directory: &str) -> Option<Vec<String>>;
}

/// What a script is given by who runs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// By which path it is run; none if that is not known.
    pub(crate) name: Option<String>,
    /// The working directory; none if it is not known.
    pub(crate) directory: Option<String>,
    /// Variables of the environment that are known.
    pub(crate) environment: Vec<(String, String)>,
}

impl Surroundings {
    /// Of what is run at boot: in the root directory.
    pub(crate) fn in_root() -> Self {
        Self {
            directory: Some("/".to_owned()),
            ..Self::default()
        }
    }
}
