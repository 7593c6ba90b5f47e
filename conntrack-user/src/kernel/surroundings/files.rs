//! What the surroundings are read from: the files of this machine, or of a staged one.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use rustix::fs::{Access, AtFlags, CWD, accessat};

/// Reads the files of a machine.
pub(super) struct Files<'a> {
    /// The text of a file.
    pub(super) text: &'a dyn Fn(&str) -> Option<String>,
    /// The target of a symbolic link.
    pub(super) link: &'a dyn Fn(&str) -> Option<String>,
    /// Whether something is there.
    pub(super) exists: &'a dyn Fn(&str) -> bool,
    /// Which file a path leads to: device and inode.
    pub(super) identity: &'a dyn Fn(&str) -> Option<(u64, u64)>,
    /// Whether this process may write to a file: its mode, its mount and this
    /// process's rights allow it.
    pub(super) writable: &'a dyn Fn(&str) -> bool,
}

impl Files<'static> {
    /// Those of this machine.
    pub(super) fn of_this_machine() -> Self {
        Self {
            text: &|path| fs::read_to_string(path).ok(),
            link: &|path| Some(fs::read_link(path).ok()?.display().to_string()),
            exists: &|path| Path::new(path).exists(),
            identity: &|path| {
                let file = fs::metadata(path).ok()?;
                Some((file.dev(), file.ino()))
            },
            writable: &|path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok(),
        }
    }
}
