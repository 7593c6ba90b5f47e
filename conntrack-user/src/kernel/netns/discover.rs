//! Finding network namespaces in `/proc` and among the mounts.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    Namespace, Namespaces,
    name::{Facts, IP_NETNS, name},
};
use crate::kernel::container::Container;

/// Where runtimes mount files of namespaces. They are among the mounts that the
/// kernel lists, except before 3.19, which lists them like any mount of `/proc`.
const DIRECTORIES: [&str; 2] = [IP_NETNS, "/run/docker/netns"];

/// The number of the first PID namespace, fixed in the kernel since 3.8
/// (`PROC_PID_INIT_INO`).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Where a namespace was seen.
#[derive(Debug, Default)]
struct Seen {
    pid: Option<u32>,
    mounts: Vec<PathBuf>,
}

/// See [`Namespaces::discover`].
pub(super) fn discover() -> Result<Namespaces> {
    let mut seen: BTreeMap<u32, Seen> = BTreeMap::new();
    let mut hidden = 0_usize;
    for pid in processes()? {
        match inode_of_process(pid) {
            Ok(inode) => {
                let lowest = &mut seen.entry(inode).or_default().pid;
                *lowest = Some(lowest.map_or(pid, |lowest| lowest.min(pid)));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => hidden += 1,
            // It has ended meanwhile.
            Err(_) => {}
        }
    }
    for mount in mounts() {
        if let Ok(Some(inode)) = inode_of_file(&mount) {
            seen.entry(inode).or_default().mounts.push(mount);
        }
    }
    let host = inode_of_process(1);
    let mut list: Vec<Namespace> = seen
        .into_iter()
        .map(|(inode, Seen { pid, mounts })| {
            let host = host.as_ref().is_ok_and(|host| *host == inode);
            describe(inode, pid, mounts, host)
        })
        .collect();
    list.sort_by(|a, b| (!a.host, &a.name).cmp(&(!b.host, &b.name)));
    Ok(Namespaces {
        list,
        warnings: warnings(host, hidden),
    })
}

/// Puts together what there is to know about a namespace.
pub(super) fn describe(
    inode: u32,
    pid: Option<u32>,
    mounts: Vec<PathBuf>,
    host: bool,
) -> Namespace {
    // A process that has ended meanwhile has no name; the namespace stays.
    let of_process = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", pid?)).ok();
    let container = of_process("cgroup").and_then(|text| Container::from_cgroup(&text));
    let comm = of_process("comm");
    let name = name(Facts {
        inode,
        host,
        mounts: &mounts,
        container: container.as_ref(),
        process: comm.as_deref().map(str::trim_end).zip(pid),
    });
    let file = mounts.first().and_then(|mount| fs::metadata(mount).ok());
    Namespace {
        inode,
        name,
        host,
        pid,
        made: file.as_ref().map(made),
        mounts,
        container,
    }
}

/// When the kernel made a namespace's file. It does when the file is first
/// opened or mounted, and keeps it as long as it is mounted
/// (`__ns_get_path`, `path_from_stashed` in `fs/nsfs.c` and `fs/libfs.c`).
pub(super) fn made(file: &fs::Metadata) -> (i64, i64) {
    (file.ctime(), file.ctime_nsec())
}

/// Files that lead to the namespace of that number, as of now.
pub(super) fn files_of(inode: u32) -> Vec<PathBuf> {
    let of_processes = processes()
        .unwrap_or_default()
        .into_iter()
        .filter(|&pid| inode_of_process(pid).is_ok_and(|found| found == inode))
        .map(file_of_process)
        .take(1);
    let mounted = mounts()
        .into_iter()
        .filter(|mount| inode_of_file(mount).is_ok_and(|found| found == Some(inode)));
    mounted.chain(of_processes).collect()
}

/// The file of a process's network namespace.
pub(super) fn file_of_process(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

/// The number of a process's network namespace.
pub(super) fn inode_of_process(pid: u32) -> io::Result<u32> {
    inode_of_link(&file_of_process(pid))
}

/// The number of the network namespace that the calling process is in.
pub(super) fn own_inode() -> io::Result<u32> {
    inode_of_link(Path::new("/proc/self/ns/net"))
}

/// The number in a link such as `net:[4026531840]`.
fn inode_of_link(link: &Path) -> io::Result<u32> {
    let target = fs::read_link(link)?;
    let inode = target.to_str().and_then(|target| {
        target
            .strip_prefix("net:[")?
            .strip_suffix(']')?
            .parse()
            .ok()
    });
    inode.ok_or_else(|| {
        io::Error::other(format!("{} leads to {}", link.display(), target.display()))
    })
}

/// The number of the namespace whose file this is; `None`: it is of no
/// namespace, such as what `ip netns` leaves behind when a mount is undone.
pub(super) fn inode_of_file(path: &Path) -> io::Result<Option<u32>> {
    let file = fs::metadata(path)?;
    let inode = u32::try_from(file.ino()).ok();
    Ok(inode.filter(|_| is_namespace(&file)))
}

/// Whether a file is that of a namespace: it lies in the same file system as
/// our own.
pub(super) fn is_namespace(file: &fs::Metadata) -> bool {
    fs::metadata("/proc/self/ns/net").is_ok_and(|own| own.dev() == file.dev())
}

/// All processes, by number.
fn processes() -> Result<Vec<u32>> {
    let entries =
        fs::read_dir("/proc").context("cannot list processes: is procfs mounted on /proc?")?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

/// Paths where the file of a network namespace may be mounted.
fn mounts() -> Vec<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut paths: Vec<PathBuf> = mountinfo.lines().filter_map(mounted_namespace).collect();
    for directory in DIRECTORIES {
        // Most hosts do not have them.
        let entries = fs::read_dir(directory).into_iter().flatten();
        paths.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    paths.sort();
    paths.dedup();
    paths
}

/// The mount point in a line of `mountinfo`, if a network namespace is mounted:
/// `43 42 0:4 net:[4026532177] /run/netns/blue rw shared:2 - nsfs nsfs rw`.
fn mounted_namespace(line: &str) -> Option<PathBuf> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let root = fields.next()?;
    let point = fields.next()?;
    (file_system.starts_with("nsfs ") && root.starts_with("net:[")).then(|| unescape(point).into())
}

/// Undoes `mountinfo`'s escapes: space, tab, newline and backslash in octal.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escape, meaning)| {
        text.replace(escape, meaning)
    })
}

/// Why namespaces may be missing.
fn warnings(host: io::Result<u32>, hidden: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Err(error) = host {
        warnings.push(format!(
            "PID 1's network namespace cannot be read ({error}), so none is called host: run as root"
        ));
    }
    if hidden > 0 {
        warnings.push(format!(
            "the network namespaces of {hidden} processes cannot be seen: run as root"
        ));
    }
    let contained =
        fs::read_link("/proc/self/ns/pid").is_ok_and(|own| own != Path::new(FIRST_PID_NAMESPACE));
    if contained {
        warnings.push(
            "the processes of the host cannot be seen from this container, and `host` is the \
             container's own network namespace: share the host's PID namespace \
             (docker run --pid=host, or hostPID: true in Kubernetes)"
                .to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::{inode_of_file, mounted_namespace, warnings};

    #[test]
    fn namespaces_among_the_mounts() {
        let mounted = |line| mounted_namespace(line).map(|path| path.display().to_string());
        assert_eq!(
            mounted("43 42 0:4 net:[4026532177] /run/netns/blue rw shared:2 - nsfs nsfs rw"),
            Some("/run/netns/blue".to_owned())
        );
        assert_eq!(
            mounted("43 42 0:4 net:[4026532177] /mnt/a\\040b\\134040 rw - nsfs nsfs rw"),
            Some("/mnt/a b\\040".to_owned())
        );
        assert_eq!(
            mounted("43 42 0:4 mnt:[4026532178] /run/ns/x rw - nsfs nsfs rw"),
            None
        );
        assert_eq!(
            mounted("22 27 0:21 / /proc rw,relatime - proc proc rw"),
            None
        );
        assert_eq!(mounted(""), None);
    }

    #[test]
    fn only_a_file_of_a_namespace_has_its_number() {
        assert!(
            inode_of_file(Path::new("/proc/self/ns/net"))
                .unwrap()
                .is_some()
        );
        assert_eq!(inode_of_file(Path::new("/proc/self/status")).unwrap(), None);
        assert!(inode_of_file(Path::new("/proc/self/nothing")).is_err());
    }

    #[test]
    fn what_is_hidden_is_said() {
        let denied = Err(io::ErrorKind::PermissionDenied.into());
        let said = warnings(denied, 3).join("\n");
        assert!(
            said.contains("PID 1") && said.contains("3 processes"),
            "{said}"
        );
        assert!(!warnings(Ok(1), 0).join("\n").contains("run as root"));
    }
}
