//! The files that lead to network namespaces: of processes, and mounted ones.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::kernel::netns::name::IP_NETNS;

/// Where runtimes mount files of namespaces. They are among the mounts that the
/// kernel lists, except before 3.19, which lists them like any mount of `/proc`.
const DIRECTORIES: [&str; 2] = [IP_NETNS, "/run/docker/netns"];

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
pub(super) fn processes() -> Result<Vec<u32>> {
    let entries =
        fs::read_dir("/proc").context("cannot list processes: is procfs mounted on /proc?")?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

/// Paths where the file of a network namespace may be mounted.
pub(super) fn mounts() -> Vec<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
