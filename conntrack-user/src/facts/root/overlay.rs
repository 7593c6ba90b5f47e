//! Changes of files that are only planned, laid over a tree.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Changes that are planned, by the path inside the tree, without any symbolic
/// link in it (as [`Found::file`](super::Found::file) is).
pub type Overlay = BTreeMap<PathBuf, Planned>;

/// What a file is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// A regular file.
    File {
        /// What is in it.
        content: Vec<u8>,
        /// Whether it can be executed.
        executable: bool,
    },
    /// Nothing.
    Removed,
}

/// Whether a file is planned somewhere below a directory.
pub(super) fn plans_below(overlay: &Overlay, directory: &Path) -> bool {
    overlay.iter().any(|(path, planned)| {
        matches!(planned, Planned::File { .. }) && first_below(path, directory).is_some()
    })
}

/// The name in `directory` that leads to `path`, if it is below it.
pub(super) fn first_below(path: &Path, directory: &Path) -> Option<String> {
    let below = path.strip_prefix(directory).ok()?;
    let first = below.components().next()?;
    Some(first.as_os_str().to_string_lossy().into_owned())
}
