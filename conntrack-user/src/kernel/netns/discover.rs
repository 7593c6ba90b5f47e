//! All network namespaces that can be found from here.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::{
    kernel::netns::{
        files::{inode_of_file, inode_of_process, mounts, processes},
        hidden::{Hidden, HiddenProcess, warnings},
        host::Host,
        namespace::Namespace,
        rights::Rights,
    },
    say::alike::meant_by,
};

/// How many namespaces an error message lists.
const LISTED: usize = 10;

/// All network namespaces that can be found from here.
#[derive(Clone, Debug, Serialize)]
pub struct Namespaces {
    /// The namespaces: the host's first, then by name.
    pub list: Vec<Namespace>,
    /// Processes whose namespaces could not be seen, and may be others; by number.
    /// Not PID 1, where kernel threads have told the host's.
    pub hidden: Vec<HiddenProcess>,
    /// Whether the processes of the host are out of sight, as in a container.
    pub contained: bool,
    /// Why the list may be incomplete, or names in it are missing, each as a sentence for
    /// the user.
    pub warnings: Vec<String>,
    /// Whether nothing is known to be missing.
    #[serde(skip)]
    pub is_whole: bool,
}

/// Where a namespace was seen.
#[derive(Debug, Default)]
struct Seen {
    pid: Option<u32>,
    mounts: Vec<PathBuf>,
}

impl Namespaces {
    /// Finds all network namespaces: those of processes, and those mounted in
    /// this mount namespace.
    ///
    /// The name is the first of these that is known: `host` for that of PID 1
    /// or, where that one cannot be read, of the kernel's own threads;
    /// the name given to `ip netns add`; `pod/NAMESPACE/NAME` of a Kubernetes pod,
    /// or `docker/NAME` and so on of another container, with the uid or the id where no
    /// file tells the name; where it is mounted;
    /// `comm[pid]` of a process inside, or `self` if that is this very process;
    /// `net:[inode]`.
    pub fn discover() -> Result<Self> {
        let mut seen: BTreeMap<u32, Seen> = BTreeMap::new();
        let mut hidden = Vec::new();
        for pid in processes()? {
            match inode_of_process(pid) {
                Ok(inode) => {
                    let lowest = &mut seen.entry(inode).or_default().pid;
                    *lowest = Some(lowest.map_or(pid, |lowest| lowest.min(pid)));
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    hidden.extend(HiddenProcess::read(pid));
                }
                // It has ended meanwhile.
                Err(_) => {}
            }
        }
        for mount in mounts() {
            if let Ok(Some(inode)) = inode_of_file(&mount) {
                seen.entry(inode).or_default().mounts.push(mount);
            }
        }
        let host = Host::find();
        let mut list: Vec<Namespace> = seen
            .into_iter()
            .map(|(inode, Seen { pid, mounts })| {
                Namespace::describe(inode, pid, mounts, host.inode == Some(inode))
            })
            .collect();
        list.sort_by(|a, b| (!a.host, &a.name).cmp(&(!b.host, &b.name)));
        hidden.sort_by_key(|process| process.pid);
        if host.inode.is_some() {
            hidden.retain(|process| process.pid != 1);
        }
        let warnings = warnings(&Hidden {
            first: host.first,
            processes: &hidden,
            host_is_known: host.inode.is_some(),
            contained: host.contained,
            rights: Rights::now(),
        });
        Ok(Self {
            is_whole: warnings.is_empty(),
            warnings: warnings.into_iter().chain(unnamed(&list)).collect(),
            list,
            hidden,
            contained: host.contained,
        })
    }

    /// Whether a namespace is the host's, as far as can be seen: where the host's
    /// own is not, the one of this process stands for it.
    pub fn is_host(&self, namespace: &Namespace) -> bool {
        let host_is_seen = || self.list.iter().any(|namespace| namespace.host);
        namespace.host || (namespace.is_own() && !host_is_seen())
    }

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

    /// Resolves what a user calls a namespace: its name, its number (also as
    /// `net:[number]`), `pid:PID` of a process inside, a path to its file, a
    /// container's name or id, a pod's `NAMESPACE/NAME` or uid.
    pub fn find(&self, wanted: &str) -> Result<Namespace> {
        let by_name = |namespace: &&Namespace| namespace.is_called(wanted);
        if let Some(namespace) = self.list.iter().find(by_name) {
            return Ok(namespace.clone());
        }
        if let Some(pid) = wanted.strip_prefix("pid:") {
            return self.of_process(pid);
        }
        if wanted.contains('/') && !is_missing(Path::new(wanted)) {
            return self.of_file(Path::new(wanted));
        }
        let known = match self.meant(wanted) {
            Some(meant) => format!("did you mean {:?}? Known", meant.name),
            None => "known".to_owned(),
        };
        bail!(
            "no network namespace is called {wanted:?}; {known} namespaces: {}",
            self.known()
        )
    }

    /// The namespace whose name is most similar to a name that no namespace has. Only the last
    /// part of a name may be similar, such as `web` of `docker/web`.
    fn meant(&self, wanted: &str) -> Option<&Namespace> {
        let known = self.list.iter();
        let known = known.filter(|one| !one.name.starts_with("net:["));
        let names = known.flat_map(|one| {
            let last = one.name.rsplit('/').next();
            last.into_iter()
                .chain([one.name.as_str()])
                .map(move |name| (name, one))
        });
        meant_by(wanted, names)
    }

    /// The namespace of a process, which may be younger than the discovery.
    fn of_process(&self, pid: &str) -> Result<Namespace> {
        let pid: u32 = pid
            .parse()
            .with_context(|| format!("pid:{pid}: {pid:?} is not a process number"))?;
        let inode = match inode_of_process(pid) {
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
            .unwrap_or_else(|| Namespace::describe(inode, Some(pid), Vec::new(), false)))
    }

    /// The namespace whose file is at `path`.
    fn of_file(&self, path: &Path) -> Result<Namespace> {
        let inode = inode_of_file(path)
            .map_err(|error| {
                let why = unreadable(path, error.kind());
                anyhow::Error::from(error).context(why)
            })?
            .with_context(|| {
                format!("{} is not the file of a network namespace", path.display())
            })?;
        Ok(self
            .by_inode(inode)
            .cloned()
            .unwrap_or_else(|| Namespace::describe(inode, None, vec![path.to_owned()], false)))
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
        let hidden = if self.is_whole {
            ""
        } else {
            "; some are hidden from ctdrop"
        };
        format!(
            "{}{more}{hidden}; you can also give an inode number, pid:PID or a path",
            names.join(", ")
        )
    }
}

/// A sentence if containers have no names because files could not be read.
fn unnamed(list: &[Namespace]) -> Option<String> {
    let containers = list.iter().filter_map(|one| one.container.as_ref());
    let mut whys = containers.filter_map(|container| container.unread.as_deref());
    let first = whys.next()?;
    let of = match whys.count() {
        0 => "the name of a container is".to_owned(),
        more => format!("the names of {} containers are", more + 1),
    };
    Some(format!("{of} not known: cannot read {first}"))
}

/// Whether there is nothing at a path, as far as can be seen: what must not be read
/// is not missing.
fn is_missing(path: &Path) -> bool {
    let error = fs::metadata(path).err().map(|error| error.kind());
    matches!(
        error,
        Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    )
}

/// Why the file of a namespace cannot be read; of a process's file with the remedy.
fn unreadable(path: &Path, error: io::ErrorKind) -> String {
    let path_shown = path.display();
    if error == io::ErrorKind::PermissionDenied && path.starts_with("/proc") {
        let remedy = Rights::now().to_see();
        return format!("cannot see the network namespace of {path_shown}: {remedy}");
    }
    format!("cannot read the attributes of {path_shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(names: &[&str]) -> Namespaces {
        let describe = |(inode, name): (u32, &&str)| {
            let mut namespace = Namespace::describe(inode, None, Vec::new(), false);
            (*name).clone_into(&mut namespace.name);
            namespace
        };
        Namespaces {
            list: (100..).zip(names).map(describe).collect(),
            hidden: Vec::new(),
            contained: false,
            warnings: Vec::new(),
            is_whole: true,
        }
    }

    #[test]
    fn a_mistyped_name_gets_a_suggestion() {
        let names = called(&[
            "host",
            "gateway",
            "docker/web",
            "pod/shop/cart",
            "net:[105]",
        ]);
        let said = |wanted| names.find(wanted).unwrap_err().to_string();
        for (wanted, meant) in [
            ("gatway", "gateway"),
            ("hots", "host"),
            ("wev", "docker/web"),
            ("docker/wbe", "docker/web"),
            ("shop/crat", "pod/shop/cart"),
        ] {
            let said = said(wanted);
            assert!(
                said.contains(&format!("; did you mean {meant:?}? Known")),
                "{said}"
            );
        }
        for wanted in ["red", "net:[106]", "7"] {
            let said = said(wanted);
            assert!(!said.contains("did you mean"), "{said}");
            assert!(
                said.contains("; known namespaces: host, gateway, "),
                "{said}"
            );
        }
    }
}
