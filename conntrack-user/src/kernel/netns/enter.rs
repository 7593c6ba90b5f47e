//! Reading conntrack's numbers inside a network namespace.
//!
//! The counters of any process's namespace are below `/proc/PID/net`. But the
//! files of `/proc/sys/net` show each reader its own namespace, so for these a
//! thread enters the namespace, reads, and ends; the other threads stay where
//! they are.

use std::{error::Error, fmt, fs, io, iter, os::fd::AsFd as _, panic, path::Path, thread};

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::kernel::{
    counters::Counters,
    limits::Limits,
    netns::{files, name, namespace::Namespace, rights::Rights},
};

/// Why a namespace could not be read.
#[derive(Debug)]
pub enum Unreadable {
    /// Nothing leads to the namespace any more: it has ended, or is kept alive
    /// only by something that cannot be found from here.
    Gone {
        /// What it was called.
        name: String,
    },
    /// The namespace is there, but this process may not enter it.
    Denied {
        /// What it is called.
        name: String,
        /// Why not, or what to do about it.
        why: String,
    },
    /// It was entered, and then the reading failed.
    Failed(anyhow::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { name } => write!(f, "network namespace {name} is gone"),
            Self::Denied { name, why } => {
                write!(f, "cannot enter network namespace {name}: {why}")
            }
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl Error for Unreadable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Gone { .. } | Self::Denied { .. } => None,
            Self::Failed(error) => error.source(),
        }
    }
}

/// Does something in the network namespace of the first process. If this process may not enter
/// that, it does it in its own.
pub fn in_that_of_first_process(act: impl FnOnce() + Send) {
    let first = files::file_of_process(1);
    let is_there = files::inode_of_process(1).ok() == files::own_inode().ok();
    let Some(file) = (!is_there).then(|| fs::File::open(first).ok()).flatten() else {
        return act();
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            // If that is not allowed, this process does it in its own namespace.
            let _ = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
            act();
        });
    });
}

impl Namespace {
    /// Conntrack's counters of this namespace. `None`: see [`Counters::read`].
    pub fn counters(&self) -> Result<Option<Counters>, Unreadable> {
        if self.is_own() {
            return Counters::read(Path::new("/proc/self/net/stat")).map_err(Unreadable::Failed);
        }
        // A number may be another process's by now, or after the reading.
        if let Some(pid) = self.pid.filter(|&pid| self.has_process(pid))
            && let Ok(counters) = Counters::read(Path::new(&format!("/proc/{pid}/net/stat")))
            && self.has_process(pid)
        {
            return Ok(counters);
        }
        self.inside(|| {
            // `/proc/self` is the process's first thread, which did not enter.
            let own = Path::new("/proc/thread-self/net/stat");
            ensure!(
                own.exists(),
                "{} is missing, so that only the namespaces of processes can be read: \
                 it needs Linux 3.17",
                own.display()
            );
            Counters::read(own)
        })
    }

    /// Conntrack's limit, buckets and entries as this namespace sees them.
    pub fn limits(&self) -> Result<Limits, Unreadable> {
        self.inside(Limits::read)
    }

    /// Whether the process or a mount that it was found by still leads to it. If
    /// not, it has ended, or lives on elsewhere; and another one may have got
    /// its number. Only a new discovery tells.
    pub fn is_where_it_was(&self) -> bool {
        self.is_own()
            || self.pid.is_some_and(|pid| self.has_process(pid))
            || self.mounts.iter().any(|mount| self.is_mounted_at(mount))
    }

    /// Runs `read` in a thread inside the namespace, or in this thread if the
    /// whole process is inside already. It sees the namespace's own sysctls,
    /// sockets and netlink; of procfs, only `/proc/thread-self/net`.
    pub fn inside<T: Send>(
        &self,
        read: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T, Unreadable> {
        if self.is_own() {
            return read().map_err(Unreadable::Failed);
        }
        let file = self.open()?;
        let enter_and_read = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|error| self.cannot_enter(error.into()))?;
            read().map_err(Unreadable::Failed)
        };
        thread::scope(|scope| {
            let reader = thread::Builder::new()
                .spawn_scoped(scope, enter_and_read)
                .context("cannot start a thread to enter a network namespace")
                .map_err(Unreadable::Failed)?;
            reader
                .join()
                .unwrap_or_else(|payload| panic::resume_unwind(payload))
        })
    }

    /// What to write before a command so that a shell runs it inside: nothing for
    /// the namespace that this process is in, `ip netns exec NAME ` and the like
    /// for another. `None`: nothing is known that leads inside.
    pub fn entering(&self) -> Option<String> {
        if self.is_own() {
            return Some(String::new());
        }
        let by_ip = self
            .mounts
            .iter()
            .find_map(|mount| name::of_ip_netns(mount));
        if let Some(name) = by_ip.filter(|name| is_word(name)) {
            return Some(format!("ip netns exec {name} "));
        }
        if let Some(pid) = self.pid {
            return Some(format!("nsenter -t {pid} -n "));
        }
        let mounts = self.mounts.iter().filter_map(|mount| mount.to_str());
        let mut words = mounts.filter(|mount| is_word(mount));
        Some(format!("nsenter --net={} ", words.next()?))
    }

    /// Whether this process is in the namespace.
    pub fn is_own(&self) -> bool {
        files::own_inode().is_ok_and(|own| own == self.inode)
    }

    /// Whether the process of that number is in the namespace.
    fn has_process(&self, pid: u32) -> bool {
        files::inode_of_process(pid).is_ok_and(|inode| inode == self.inode)
    }

    /// Opens the namespace's file, by the ways known since discovery or, if
    /// none is left of these, by any other.
    fn open(&self) -> Result<fs::File, Unreadable> {
        let known = self.mounts.iter().cloned();
        let known = known.chain(self.pid.map(files::file_of_process));
        let others = iter::once_with(|| files::files_of(self.inode)).flatten();
        let mut denied = false;
        for path in known.chain(others) {
            match self.open_if_same(&path) {
                Ok(Some(file)) => return Ok(file),
                Ok(None) => {}
                Err(error) => denied |= error.kind() == io::ErrorKind::PermissionDenied,
            }
        }
        let name = self.name.clone();
        Err(if denied {
            let why = Rights::now().to_enter();
            Unreadable::Denied { name, why }
        } else {
            Unreadable::Gone { name }
        })
    }

    /// Opens a file; `None` if it is not this namespace's.
    fn open_if_same(&self, path: &Path) -> io::Result<Option<fs::File>> {
        let file = fs::File::open(path)?;
        let same = self.is_file(&file.metadata()?);
        Ok(same.then_some(file))
    }

    /// What a failed `setns` means.
    fn cannot_enter(&self, error: io::Error) -> Unreadable {
        let name = self.name.clone();
        if error.kind() == io::ErrorKind::PermissionDenied {
            let why = Rights::now().to_enter();
            return Unreadable::Denied { name, why };
        }
        let context = format!("cannot enter network namespace {name}");
        Unreadable::Failed(anyhow::Error::new(error).context(context))
    }
}

/// Whether a shell takes a text for one word that is no option.
fn is_word(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.+:@/".contains(letter);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
}
