//! A network namespace, as it was found.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::kernel::{
    container::Container,
    netns::{
        files,
        name::{Known, name},
    },
};

/// A network namespace.
#[derive(Clone, Debug, Serialize)]
pub struct Namespace {
    /// The inode number of its file, `net->ns.inum` in the kernel.
    pub inode: u32,
    /// What to call it; see [`super::Namespaces::discover`].
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
    made: Option<(i64, i64)>,
}

impl Namespace {
    /// Puts together what there is to know about a namespace.
    pub(super) fn describe(inode: u32, pid: Option<u32>, mounts: Vec<PathBuf>, host: bool) -> Self {
        // A process that has ended meanwhile has no name; the namespace stays.
        let of_process = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", pid?)).ok();
        let container = of_process("cgroup").and_then(|text| Container::of(&text));
        let comm = of_process("comm");
        let name = name(Known {
            inode,
            host,
            mounts: &mounts,
            container: container.as_ref(),
            process: comm.as_deref().map(str::trim_end).zip(pid),
        });
        let file = mounts.first().and_then(|mount| fs::metadata(mount).ok());
        Self {
            inode,
            name,
            host,
            pid,
            made: file.as_ref().map(files::made),
            mounts,
            container,
        }
    }

    /// Whether `wanted` is one of the names of this namespace.
    pub(super) fn is_called(&self, wanted: &str) -> bool {
        let number = wanted
            .strip_prefix("net:[")
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(wanted);
        let container = self.container.as_ref();
        self.name == wanted
            || number.parse() == Ok(self.inode)
            || container.is_some_and(|container| container.is_called(wanted))
            || self.mounts.iter().any(|mount| mount == Path::new(wanted))
    }

    /// Whether a file is this namespace's.
    pub(super) fn is_file(&self, file: &fs::Metadata) -> bool {
        file.ino() == u64::from(self.inode) && files::is_namespace(file)
    }

    /// Whether the file mounted somewhere is the one that was there when this
    /// namespace was found.
    pub(super) fn is_mounted_at(&self, place: &Path) -> bool {
        fs::metadata(place)
            .is_ok_and(|file| self.is_file(&file) && Some(files::made(&file)) == self.made)
    }
}
