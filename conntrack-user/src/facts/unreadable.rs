//! What is there and could not be read, with the remedy that fits the cause.

use std::{fmt, io, path::PathBuf};

use rustix::{io::Errno, process::geteuid};
use serde::Serialize;

/// Something that is there and could not be read: what it says is not known,
/// which is not the same as that it says nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unreadable {
    /// Path inside the tree.
    pub path: PathBuf,
    /// Why.
    pub why: String,
    /// What to do about it.
    #[serde(skip)]
    pub remedy: &'static str,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

/// What to do about a file of a tree that was not copied as it should be.
pub(super) const COPY_AGAIN: &str = "copy it again with cp: docs/status.md has a recipe";

/// What to do about a file of the kernel that has an unknown form.
pub(super) const NOT_UNDERSTOOD: &str =
    "look at the file: it does not have the form that ctdrop knows; please report it";

impl Unreadable {
    /// Notes that a file could not be read by this process.
    pub(super) fn of(path: &str, error: &io::Error) -> Self {
        Self {
            path: path.into(),
            why: error.to_string(),
            remedy: remedy(error, geteuid().is_root()),
        }
    }
}

/// What to do about an error of reading; `root`: whether the reader is root.
fn remedy(error: &io::Error, root: bool) -> &'static str {
    match (error.kind(), Errno::from_io_error(error)) {
        (io::ErrorKind::PermissionDenied, _) if !root => "run as root",
        (io::ErrorKind::PermissionDenied, _) => {
            "root is refused, too: look for what forbids it (a missing capability, SELinux, AppArmor, \
             a network file system)"
        }
        (_, Some(Errno::LOOP)) => "repair the symbolic link: it leads back to itself",
        (_, Some(Errno::ISDIR)) => {
            "a directory is in the place of the file: move it away, or put the file in its place"
        }
        (_, Some(Errno::NOTDIR)) => {
            "a file is in the place of the directory: move it away, or put the directory in its place"
        }
        (_, Some(Errno::NAMETOOLONG)) => "shorten the path, or the target of the symbolic link",
        (io::ErrorKind::InvalidInput, _) => {
            "put a regular file in its place (it is a pipe, a socket or a device), or move it away"
        }
        (io::ErrorKind::FileTooLarge, _) => {
            "look at the file: no file of settings is that large; shorten it or move it away"
        }
        _ => "look for file system errors in the kernel log (dmesg), and repair the file system",
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        os::unix::fs::symlink,
        path::Path,
    };

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;
    use crate::facts::{reader::Reader, root::Root};

    /// A tree whose `etc` has nothing but what cannot be read.
    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join("etc").join(path);
        fs::create_dir_all(at("directory")).unwrap();
        symlink("loop", at("loop")).unwrap();
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let large = File::create(at("large")).unwrap();
        large.set_len((16 << 20) + 1).unwrap();
        tree
    }

    #[test]
    fn the_remedy_fits_what_is_in_the_place_of_the_file() {
        let tree = tree();
        let root = Root::open(tree.path()).unwrap();
        let remedy = |name: &str| {
            let reader = Reader::new(&root);
            assert!(reader.text(&format!("/etc/{name}")).is_none());
            let unreadable = reader.unreadable();
            assert_eq!(unreadable.len(), 1, "{name}");
            assert_eq!(unreadable[0].path, Path::new("/etc").join(name));
            unreadable[0].remedy
        };
        for (name, says) in [
            ("pipe", "a regular file"),
            ("loop", "symbolic link"),
            ("directory", "a directory is in the place"),
            ("large", "shorten it"),
        ] {
            let remedy = remedy(name);
            assert!(remedy.contains(says), "{name}: {remedy}");
            assert!(!remedy.contains("root"), "{name}: {remedy}");
        }
    }

    #[test]
    fn only_who_is_not_root_is_told_to_become_root() {
        let denied = [Errno::ACCESS, Errno::PERM].map(io::Error::from);
        for error in &denied {
            assert_eq!(remedy(error, false), "run as root");
            let to_root = remedy(error, true);
            assert!(
                to_root.starts_with("root is refused, too") && to_root.contains("SELinux"),
                "{to_root}"
            );
        }
        for errno in [Errno::IO, Errno::STALE, Errno::NAMETOOLONG, Errno::NOTDIR] {
            for root in [false, true] {
                let said = remedy(&errno.into(), root);
                assert!(!said.contains("run as root"), "{errno}: {said}");
            }
        }
    }
}
