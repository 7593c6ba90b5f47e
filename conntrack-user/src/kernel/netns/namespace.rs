//! A network namespace, and the list of those that were found.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::kernel::container::Container;

/// All network namespaces that can be found from here.
#[derive(Clone, Debug, Serialize)]
pub struct Namespaces {
    /// The namespaces: the host's first, then by name.
    pub list: Vec<Namespace>,
    /// Processes whose namespaces could not be seen, and may be others. Not PID 1,
    /// where kernel threads have told the host's.
    pub hidden: usize,
    /// Why the list may be incomplete, each as a sentence for the user.
    pub warnings: Vec<String>,
}

/// A network namespace.
#[derive(Clone, Debug, Serialize)]
pub struct Namespace {
    /// The inode number of its file, `net->ns.inum` in the kernel.
    pub inode: u32,
    /// What to call it; see [`Namespaces::discover`].
    pub name: String,
    /// Whether it is that of PID 1; where that one cannot be read, of the kernel's
    /// threads.
    pub host: bool,
    /// The process inside that has the lowest number, at the time of discovery.
    pub pid: Option<u32>,
    /// Where its file is mounted, as `ip netns` and container runtimes do.
    pub mounts: Vec<PathBuf>,
    /// The container that the process belongs to.
    pub container: Option<Container>,
    /// When the kernel made the file that is mounted, in seconds and
    /// nanoseconds: a later namespace can be mounted at the same place, and
    /// have the same number.
    #[serde(skip)]
    pub(super) made: Option<(i64, i64)>,
}

impl Namespaces {
    /// The namespace of that number.
    pub fn by_inode(&self, inode: u32) -> Option<&Namespace> {
        self.list.iter().find(|namespace| namespace.inode == inode)
    }

    /// The name of the namespace of that number, `net:[number]` where it is not
    /// known, and `unknown` for 0.
    pub fn name_of(&self, inode: u32) -> String {
        match self.by_inode(inode) {
            Some(namespace) => namespace.name.clone(),
            None if inode == 0 => "unknown".to_owned(),
            None => format!("net:[{inode}]"),
        }
    }
}

impl Namespace {
    /// Whether `wanted` is one of the names of this namespace.
    pub(super) fn is_called(&self, wanted: &str) -> bool {
        let number = wanted
            .strip_prefix("net:[")
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(wanted);
        let container = self.container.as_ref();
        self.name == wanted
            || number.parse() == Ok(self.inode)
            // The id may be given in full: ours is the beginning of it.
            || container.is_some_and(|container| wanted.starts_with(&container.id))
            || container.is_some_and(|container| container.pod.as_deref() == Some(wanted))
            || self.mounts.iter().any(|mount| mount == Path::new(wanted))
    }

    /// Whether a file is this namespace's.
    pub(super) fn is_file(&self, file: &fs::Metadata) -> bool {
        file.ino() == u64::from(self.inode) && is_namespace(file)
    }

    /// Whether the file mounted somewhere is the one that was there when this
    /// namespace was found.
    pub(super) fn is_mounted_at(&self, place: &Path) -> bool {
        fs::metadata(place).is_ok_and(|file| self.is_file(&file) && Some(made(&file)) == self.made)
    }
}

/// When the kernel made a namespace's file. It does when the file is first
/// opened or mounted, and keeps it as long as it is mounted
/// (`__ns_get_path`, `path_from_stashed` in `fs/nsfs.c` and `fs/libfs.c`).
pub(super) fn made(file: &fs::Metadata) -> (i64, i64) {
    (file.ctime(), file.ctime_nsec())
}

/// Whether a file is that of a namespace: it lies in the same file system as
/// our own.
pub(super) fn is_namespace(file: &fs::Metadata) -> bool {
    fs::metadata("/proc/self/ns/net").is_ok_and(|own| own.dev() == file.dev())
}
