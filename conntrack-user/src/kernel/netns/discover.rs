//! Finding network namespaces in `/proc` and among the mounts.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::kernel::{
    container::Container,
    netns::{
        name::{Facts, IP_NETNS, name},
        namespace::{Namespace, Namespaces, is_namespace, made},
        rights::Rights,
    },
};

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
    let first = inode_of_process(1);
    let contained = is_contained();
    let host = match &first {
        Ok(inode) => Some(*inode),
        Err(_) if contained => None,
        Err(_) => inode_of_kernel_threads(),
    };
    let mut list: Vec<Namespace> = seen
        .into_iter()
        .map(|(inode, Seen { pid, mounts })| describe(inode, pid, mounts, host == Some(inode)))
        .collect();
    list.sort_by(|a, b| (!a.host, &a.name).cmp(&(!b.host, &b.name)));
    let told = host.is_some() && first.is_err();
    Ok(Namespaces {
        list,
        hidden: hidden.saturating_sub(usize::from(told)),
        warnings: warnings(&Hidden {
            first: first.err(),
            processes: hidden,
            host_is_known: host.is_some(),
            contained,
            rights: Rights::now(),
        }),
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

/// Whether processes of the host are out of sight, as those of a container
/// have numbers of their own.
fn is_contained() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|own| own != Path::new(FIRST_PID_NAMESPACE))
}

/// The process that starts all of the kernel's threads.
const KTHREADD: u32 = 2;

/// `PF_KTHREAD` (`include/linux/sched.h`, the same since 2.6.27).
const PF_KTHREAD: u64 = 0x0020_0000;

/// The number of the namespace that the kernel's own threads are in, which is
/// the first one: they never leave it. Only to be asked in the first PID
/// namespace; in another, number 2 is anybody's.
fn inode_of_kernel_threads() -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{KTHREADD}/stat")).ok()?;
    let inode = is_kthreadd(&stat).then(|| inode_of_process(KTHREADD))?;
    inode.ok()
}

/// Whether a line of `/proc/PID/stat` is that of `kthreadd`: its name can be had
/// by anybody, its flag and the lack of a parent cannot.
fn is_kthreadd(stat: &str) -> bool {
    let Some((before, after)) = stat.rsplit_once(')') else {
        return false;
    };
    let mut fields = after.split_whitespace().skip(1);
    let parent = fields.next();
    let flags: Option<u64> = fields.nth(4).and_then(|flags| flags.parse().ok());
    before == "2 (kthreadd"
        && parent == Some("0")
        && flags.is_some_and(|flags| flags & PF_KTHREAD != 0)
}

/// What could not be seen.
struct Hidden {
    /// Why the namespace of PID 1 cannot be read, if it cannot.
    first: Option<io::Error>,
    /// Processes whose namespaces may not be read; PID 1 may be among them.
    processes: usize,
    /// Whether it is known which namespace is the host's.
    host_is_known: bool,
    /// See [`is_contained`].
    contained: bool,
    rights: Rights,
}

/// Why namespaces may be missing, or have poorer names.
fn warnings(hidden: &Hidden) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut processes = hidden.processes;
    if let Some(error) = hidden.first.as_ref().filter(|_| !hidden.host_is_known) {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        processes = processes.saturating_sub(usize::from(denied));
        let others = match processes {
            0 => String::new(),
            others => format!(", nor can that of {} be seen", count(others, "other ")),
        };
        // Where all that is hidden is so without a denial, it is by procfs.
        let why = if denied || processes > 0 {
            hidden.rights.to_see()
        } else {
            "procfs shows other users' processes to few (hidepid)".to_owned()
        };
        warnings.push(format!(
            "PID 1's network namespace cannot be read ({error}), so none is called host{others}: \
             {why}"
        ));
    } else if processes > 0 {
        warnings.push(format!(
            "the network namespaces of {} cannot be seen: {}",
            count(processes, ""),
            hidden.rights.to_see()
        ));
    }
    if hidden.contained {
        warnings.push(
            "the processes of the host cannot be seen from this container, and `host` is the \
             container's own network namespace: share the host's PID namespace \
             (docker run --pid=host, or hostPID: true in Kubernetes)"
                .to_owned(),
        );
    }
    warnings
}

/// `1 process`, `3 other processes`
fn count(processes: usize, which: &str) -> String {
    match processes {
        1 => format!("1 {which}process"),
        _ => format!("{processes} {which}processes"),
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use crate::kernel::netns::discover::{
        Hidden, Rights, inode_of_file, is_kthreadd, mounted_namespace, warnings,
    };

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

    /// Root, before which nothing is hidden.
    fn nothing() -> Hidden {
        Hidden {
            first: None,
            processes: 0,
            host_is_known: true,
            contained: false,
            rights: Rights {
                root: true,
                admin: true,
                ptrace: true,
                user_namespace: false,
            },
        }
    }

    /// PID 1 and perhaps others may not be looked at.
    fn denied(processes: usize) -> Hidden {
        Hidden {
            first: Some(io::ErrorKind::PermissionDenied.into()),
            processes,
            host_is_known: false,
            ..nothing()
        }
    }

    #[test]
    fn what_is_hidden_is_said() {
        assert!(warnings(&nothing()).is_empty());
        let mut nobody = denied(3);
        nobody.rights.root = false;
        nobody.rights.ptrace = false;
        let said = warnings(&nobody).join("\n");
        assert!(
            said.contains("PID 1")
                && said.contains("2 other processes")
                && said.contains("run as root"),
            "{said}"
        );
    }

    #[test]
    fn pid_1_alone_is_said_once_and_root_is_not_told_to_be_root() {
        let said = warnings(&denied(1));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].contains("none is called host") && !said[0].contains("run as root"),
            "{said:?}"
        );
        let by_kernel_threads = Hidden {
            host_is_known: true,
            ..denied(1)
        };
        let said = warnings(&by_kernel_threads);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with("the network namespaces of 1 process cannot be seen: this"),
            "{said:?}"
        );
    }

    #[test]
    fn a_process_that_procfs_does_not_show_is_no_denial() {
        let absent = Hidden {
            first: Some(io::ErrorKind::NotFound.into()),
            processes: 0,
            ..denied(0)
        };
        let said = warnings(&absent).join("\n");
        assert!(said.contains("hidepid"), "{said}");
    }

    #[test]
    fn in_a_container_host_is_its_own() {
        let contained = Hidden {
            contained: true,
            ..nothing()
        };
        assert!(warnings(&contained)[0].contains("hostPID"));
    }

    #[test]
    fn only_the_kernel_s_own_thread_is_kthreadd() {
        let line = |name: &str, parent: u32, flags: u64| {
            format!("2 ({name}) S {parent} 0 0 0 -1 {flags} 0 0 0 0 1 0 0 0 20 0 1 0 21 0 0\n")
        };
        assert!(is_kthreadd(&line("kthreadd", 0, 2_129_984)));
        assert!(
            !is_kthreadd(&line("kthreadd", 0, 4_194_560)),
            "no kernel thread"
        );
        assert!(!is_kthreadd(&line("kthreadd", 1, 2_129_984)), "a child");
        assert!(!is_kthreadd(&line("a) S 0 (kthreadd", 0, 2_129_984)));
        assert!(!is_kthreadd(&line("sleep", 0, 2_129_984)));
        assert!(!is_kthreadd(""));
    }
}
