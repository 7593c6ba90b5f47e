//! A file of a package.

/// A file of a package. Its owner is always root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Where it is installed, without a slash in front.
    pub(crate) path: String,
    /// What it is to a package manager.
    pub(crate) role: Role,
    /// Its permissions.
    pub(crate) mode: u32,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

/// What a file is to a package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing special.
    Plain,
    /// A setting, which an upgrade leaves as the administrator has changed it.
    Config,
    /// Documentation.
    Doc,
    /// The text of a licence.
    Licence,
}

impl File {
    /// A file that everybody may read.
    pub(crate) fn new(path: impl Into<String>, role: Role, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            role,
            mode: 0o644,
            bytes: bytes.into(),
        }
    }

    /// A program that everybody may run.
    pub(crate) fn program(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            mode: 0o755,
            ..Self::new(path, Role::Plain, bytes)
        }
    }
}
