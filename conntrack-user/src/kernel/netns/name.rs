//! What to call a network namespace.

use std::{
    path::{Path, PathBuf},
    process,
};

use crate::kernel::container::Container;

/// What to call a namespace of which no process is seen but this one.
const OWN: &str = "self";

/// Where `ip netns add NAME` mounts a namespace's file, as `NAME`.
pub(super) const IP_NETNS: &str = "/run/netns";

/// What is known about a namespace.
#[derive(Clone, Copy, Default)]
pub(super) struct Known<'a> {
    /// Its number.
    pub(super) inode: u32,
    /// Whether it is that of the host.
    pub(super) host: bool,
    /// Where its file is mounted.
    pub(super) mounts: &'a [PathBuf],
    /// The container of a process inside.
    pub(super) container: Option<&'a Container>,
    /// A process inside, by command name and number.
    pub(super) process: Option<(&'a str, u32)>,
}

/// The best name that is known.
pub(super) fn name(known: Known<'_>) -> String {
    if known.host {
        return "host".to_owned();
    }
    let given = known.mounts.iter().find_map(|mount| given_name(mount));
    let container = || known.container.map(ToString::to_string);
    let mount = || Some(known.mounts.first()?.display().to_string());
    let process = || known.process.map(|(comm, pid)| of_process(comm, pid));
    let name = given
        .or_else(container)
        .or_else(mount)
        .or_else(process)
        .unwrap_or_else(|| format!("net:[{}]", known.inode));
    printable(&name)
}

/// Our own name would be another one at the next start, and say nothing.
fn of_process(comm: &str, pid: u32) -> String {
    if pid == process::id() {
        OWN.to_owned()
    } else {
        format!("{comm}[{pid}]")
    }
}

/// The name under which `ip netns` knows a mount, if somebody gave it.
/// Kubernetes' runtimes mount in the same directory, but by random names that
/// tell less than the pod does.
fn given_name(mount: &Path) -> Option<String> {
    let name = of_ip_netns(mount)?;
    (!name.starts_with("cni-")).then(|| name.to_owned())
}

/// The name under which `ip netns` knows a mount.
pub(super) fn of_ip_netns(mount: &Path) -> Option<&str> {
    let directory = mount.parent()?;
    let by_ip = directory == Path::new(IP_NETNS) || directory == Path::new("/var/run/netns");
    mount.file_name()?.to_str().filter(|_| by_ip)
}

/// Processes and files choose their names: a terminal must not obey them.
fn printable(name: &str) -> String {
    name.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, process};

    use crate::kernel::{
        container::Container,
        netns::name::{Known, name},
    };

    fn container(pod: Option<&str>) -> Container {
        Container {
            runtime: "docker",
            id: "3f4e5d6c7b8a".into(),
            pod: pod.map(str::to_owned),
            ..Container::default()
        }
    }

    #[test]
    fn the_first_known_of_the_names() {
        let container = container(None);
        let mounts = [
            PathBuf::from("/run/docker/netns/1a2b"),
            PathBuf::from("/run/netns/blue"),
        ];
        let mut known = Known {
            inode: 4_026_532_177,
            host: true,
            mounts: &mounts,
            container: Some(&container),
            process: Some(("nginx", 12)),
        };
        assert_eq!(name(known), "host");
        known.host = false;
        assert_eq!(name(known), "blue");
        known.mounts = &mounts[..1];
        assert_eq!(name(known), "docker/3f4e5d6c7b8a");
        known.container = None;
        assert_eq!(name(known), "/run/docker/netns/1a2b");
        known.mounts = &[];
        assert_eq!(name(known), "nginx[12]");
        known.process = None;
        assert_eq!(name(known), "net:[4026532177]");
    }

    #[test]
    fn a_namespace_is_not_named_after_who_looks_at_it() {
        let known = Known {
            process: Some(("ctdrop", process::id())),
            ..Known::default()
        };
        assert_eq!(name(known), "self");
    }

    #[test]
    fn a_pod_is_preferred_to_the_random_name_of_its_mount() {
        let mounts = [PathBuf::from("/var/run/netns/cni-5f6e-77")];
        let container = container(Some("1b2c"));
        let mut known = Known {
            mounts: &mounts,
            container: Some(&container),
            ..Known::default()
        };
        assert_eq!(name(known), "pod/1b2c");
        known.container = None;
        assert_eq!(name(known), "/var/run/netns/cni-5f6e-77");
    }

    #[test]
    fn names_cannot_command_a_terminal() {
        let known = Known {
            process: Some(("a\x1b[2Jb\n", 7)),
            ..Known::default()
        };
        assert_eq!(name(known), "a?[2Jb?[7]");
    }
}
