//! The network namespaces of this host: which there are, what to call them,
//! and how to read conntrack's numbers inside each.
//!
//! A namespace is known by its inode number, which is what eBPF reads from
//! `net->ns.inum` and what `lsns -t net` shows. The kernel gives a dead
//! namespace's number to the next one it makes, so a number only means the same
//! namespace while that one lives.
//!
//! Nothing here keeps a namespace alive: an open file of a namespace pins it,
//! with its interfaces, routes and conntrack entries, long after its container
//! is gone. So each reading opens it again and says [`Unreadable::Gone`] when
//! nothing leads to it any more.
//!
//! What only an open file of another process keeps alive, or a bind mount in
//! another mount namespace, cannot be found. Nor can the namespace of a single
//! thread that has left the one of its process.

mod discover;
mod enter;
mod name;
mod namespace;
mod rights;

#[cfg(test)]
mod tests;

use std::{io, path::Path};

use anyhow::{Context as _, Result, bail};
pub use enter::Unreadable;
pub use namespace::{Namespace, Namespaces};

use crate::kernel::netns::rights::Rights;

/// How many namespaces an error message lists.
const LISTED: usize = 10;

/// Why namespaces of other processes cannot be seen from here, or what to do about
/// it.
pub fn why_not_seen() -> String {
    Rights::now().to_see()
}

/// Why namespaces cannot be entered from here, or what to do about it.
pub fn why_not_entered() -> String {
    Rights::now().to_enter()
}

impl Namespaces {
    /// Finds all network namespaces: those of processes, and those mounted in
    /// this mount namespace.
    ///
    /// The name is the first of these that is known: `host` for that of PID 1
    /// or, where that one cannot be read, of the kernel's own threads;
    /// the name given to `ip netns add`; `pod/UID` of a Kubernetes pod, or
    /// `docker/ID` and so on of another container; where it is mounted;
    /// `comm[pid]` of a process inside, or `self` if that is this very process;
    /// `net:[inode]`.
    pub fn discover() -> Result<Self> {
        discover::discover()
    }

    /// Resolves what a user calls a namespace: its name, its number (also as
    /// `net:[number]`), `pid:PID` of a process inside, a path to its file, a
    /// container's id or a pod's uid.
    pub fn find(&self, wanted: &str) -> Result<Namespace> {
        let by_name = |namespace: &&Namespace| namespace.is_called(wanted);
        if let Some(namespace) = self.list.iter().find(by_name) {
            return Ok(namespace.clone());
        }
        if let Some(pid) = wanted.strip_prefix("pid:") {
            return self.of_process(pid);
        }
        if wanted.contains('/') && Path::new(wanted).exists() {
            return self.of_file(Path::new(wanted));
        }
        bail!(
            "no network namespace is called {wanted:?}; {}",
            self.known()
        )
    }

    /// The namespace of a process, which may be younger than the discovery.
    fn of_process(&self, pid: &str) -> Result<Namespace> {
        let pid: u32 = pid
            .parse()
            .with_context(|| format!("pid:{pid}: {pid:?} is no process number"))?;
        let inode = match discover::inode_of_process(pid) {
            Ok(inode) => inode,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("pid:{pid}: there is no process {pid}")
            }
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot see the network namespace of process {pid}: {}",
                        Rights::now().to_see()
                    )
                });
            }
        };
        Ok(self
            .by_inode(inode)
            .cloned()
            .unwrap_or_else(|| discover::describe(inode, Some(pid), Vec::new(), false)))
    }

    /// The namespace whose file is at `path`.
    fn of_file(&self, path: &Path) -> Result<Namespace> {
        let inode = discover::inode_of_file(path)
            .with_context(|| format!("cannot look at {}", path.display()))?
            .with_context(|| {
                format!("{} is not the file of a network namespace", path.display())
            })?;
        Ok(self
            .by_inode(inode)
            .cloned()
            .unwrap_or_else(|| discover::describe(inode, None, vec![path.to_owned()], false)))
    }

    /// What could have been asked for, for an error message.
    fn known(&self) -> String {
        let names: Vec<&str> = self
            .list
            .iter()
            .take(LISTED)
            .map(|n| n.name.as_str())
            .collect();
        let more = match self.list.len().saturating_sub(LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let hidden = if self.warnings.is_empty() {
            ""
        } else {
            " (not all can be seen from here)"
        };
        format!(
            "known are {}{more}{hidden}; an inode number, pid:PID or a path will do too",
            names.join(", ")
        )
    }
}
