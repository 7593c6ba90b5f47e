//! Whether this process is in a container, told by its namespaces.
//!
//! What container engines leave in their containers tells nothing: the disk of a
//! virtual machine made from a container's image has the same files. They only give
//! the name of the engine, once the namespaces have told that there is one.

use crate::kernel::{container::Container, generation::Generation, surroundings::files::Files};

/// The number of the first user namespace, fixed in the kernel since 3.8
/// (`PROC_USER_INIT_INO`, `include/linux/proc_ns.h`).
pub const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";

/// The number of the first PID namespace, fixed since 3.8 (`PROC_PID_INIT_INO`).
pub const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// The number of the first mount namespace, fixed since 6.18 (`MNT_NS_INIT_INO`,
/// `include/uapi/linux/nsfs.h`).
const FIRST_MOUNT_NAMESPACE: &str = "mnt:[4026531832]";

/// What container engines leave in their containers.
const MARKS: [(&str, &str); 2] = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];

/// Where systemd writes which engine its container is of.
const SYSTEMD_MARK: &str = "/run/systemd/container";

/// What runs a container of which nothing tells the engine.
pub(super) const ANY: &str = "container";

/// What runs the container that this process is in; none if it is in none.
pub(super) fn container(files: &Files<'_>) -> Option<String> {
    let cgroup = (files.text)("/proc/self/cgroup");
    let cgroup = cgroup.and_then(|text| Container::from_cgroup(&text));
    let openvz = is_openvz(files);
    let facts = Facts {
        openvz,
        first_pid_namespace: (files.link)("/proc/self/ns/pid")
            .map(|link| link == FIRST_PID_NAMESPACE),
        first_mount_namespace: (files.link)("/proc/self/ns/mnt")
            .is_some_and(|link| link == FIRST_MOUNT_NAMESPACE),
        shares_mounts: same(
            (files.link)("/proc/self/ns/mnt"),
            (files.link)("/proc/1/ns/mnt"),
        ),
        shares_root: same((files.identity)("/"), (files.identity)("/proc/1/root")),
        cgroup: cgroup.is_some(),
    };
    if !facts.tell_a_container() {
        return None;
    }
    let by_cgroup = cgroup.map(|container| container.runtime.to_owned());
    let engine = by_cgroup.filter(|engine| engine != ANY).or_else(|| {
        let mark = MARKS.iter().find(|(path, _)| (files.exists)(path));
        mark.map(|&(_, engine)| engine.to_owned())
    });
    let by_systemd = || {
        let engine = (files.text)(SYSTEMD_MARK)?;
        let engine = engine.trim().to_owned();
        (!engine.is_empty()).then_some(engine)
    };
    let by_kernel = || openvz.then(|| "openvz".to_owned());
    let engine = engine.or_else(by_systemd).or_else(by_kernel);
    Some(engine.unwrap_or_else(|| ANY.to_owned()))
}

/// Whether this process may set the limit: in another network namespace than the
/// first one the kernel shows it read-only or not at all
/// (`nf_conntrack_standalone_init_sysctl`), and engines mount `/proc/sys` read-only.
pub(super) fn may_set_limit(files: &Files<'_>) -> bool {
    Generation::ALL
        .iter()
        .any(|generation| (files.writable)(generation.max_file()))
}

/// What tells whether this process is in a container.
struct Facts {
    /// Whether the kernel is OpenVZ's, and this is not its host.
    openvz: bool,
    /// Whether the PID namespace is the first one; none before 3.8.
    first_pid_namespace: Option<bool>,
    /// Whether the mount namespace is the first one, for sure.
    first_mount_namespace: bool,
    /// Whether PID 1 has the same mount namespace; none if that may not be seen.
    shares_mounts: Option<bool>,
    /// Whether PID 1 has the same root directory; none if that may not be seen.
    shares_root: Option<bool>,
    /// Whether the control group is a container's.
    cgroup: bool,
}

impl Facts {
    /// A container has processes of its own, or files of its own.
    fn tell_a_container(&self) -> bool {
        if self.openvz || self.first_pid_namespace == Some(false) {
            return true;
        }
        if self.first_mount_namespace || self.shares_mounts == Some(true) {
            return false;
        }
        match self.shares_root {
            // A service with a mount namespace of its own has the host's files.
            Some(shared) => !shared,
            // Whoever has entered the host's namespaces from a container may look at
            // PID 1.
            None => self.cgroup,
        }
    }
}

/// Whether two are the same; none if one is not known.
fn same<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<bool> {
    Some(one? == other?)
}

/// Whether this is a container of OpenVZ, whose kernels are too old for the numbers
/// of namespaces. Only its host has `/proc/bc`.
fn is_openvz(files: &Files<'_>) -> bool {
    (files.exists)("/proc/vz") && !(files.exists)("/proc/bc")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100";

    /// A machine with these files, of which a link is one with its target, and a
    /// directory one with its inode.
    fn on(present: &[(&str, &str)]) -> (Option<String>, bool) {
        let text = |wanted: &str| {
            let file = present.iter().find(|(path, _)| *path == wanted);
            file.map(|(_, text)| (*text).to_owned())
        };
        let files = Files {
            text: &text,
            link: &text,
            exists: &|path| text(path).is_some(),
            identity: &|path| Some((1, text(path)?.parse().ok()?)),
            writable: &|path| text(path).is_some_and(|text| text == "writable"),
        };
        (container(&files), may_set_limit(&files))
    }

    #[track_caller]
    fn assert_container(present: &[(&str, &str)], engine: Option<&str>) {
        assert_eq!(on(present).0.as_deref(), engine);
    }

    const MARK: (&str, &str) = ("/.dockerenv", "");
    const FIRST_PID: (&str, &str) = ("/proc/self/ns/pid", FIRST_PID_NAMESPACE);
    const OTHER_PID: (&str, &str) = ("/proc/self/ns/pid", "pid:[4026532301]");
    const OTHER_MOUNTS: [(&str, &str); 2] = [
        ("/proc/self/ns/mnt", "mnt:[4026532300]"),
        ("/proc/1/ns/mnt", "mnt:[4026531840]"),
    ];

    #[test]
    fn a_machine_made_from_an_image_is_no_container() {
        assert_container(&[], None);
        assert_container(&[MARK], None);
        let podman = ("/run/.containerenv", "");
        let systemd = ("/run/systemd/container", "docker\n");
        assert_container(&[FIRST_PID, MARK, podman, systemd], None);
        let same_mounts = [
            ("/proc/self/ns/mnt", "mnt:[4026531840]"),
            ("/proc/1/ns/mnt", "mnt:[4026531840]"),
        ];
        let [own, first] = same_mounts;
        assert_container(&[FIRST_PID, MARK, own, first], None);
        // Without rights, on a kernel that numbers all first namespaces.
        let first_mounts = ("/proc/self/ns/mnt", FIRST_MOUNT_NAMESPACE);
        assert_container(&[FIRST_PID, MARK, first_mounts], None);
    }

    #[test]
    fn processes_of_its_own_make_a_container() {
        assert_container(&[OTHER_PID], Some(ANY));
        assert_container(&[OTHER_PID, MARK], Some("docker"));
        assert_container(&[OTHER_PID, ("/run/.containerenv", "")], Some("podman"));
        assert_container(
            &[OTHER_PID, ("/run/systemd/container", "systemd-nspawn\n")],
            Some("systemd-nspawn"),
        );
        let cgroup = ("/proc/self/cgroup", "0::/lxc.payload.web/init.scope\n");
        assert_container(&[OTHER_PID, cgroup], Some("lxc"));
    }

    #[test]
    fn files_of_its_own_make_a_container_with_the_host_s_processes() {
        let [own, first] = OTHER_MOUNTS;
        let roots = [("/", "2"), ("/proc/1/root", "7")];
        assert_container(
            &[FIRST_PID, own, first, roots[0], roots[1], MARK],
            Some("docker"),
        );
        // A service of systemd, with mounts of its own and the host's files.
        let same = [("/", "2"), ("/proc/1/root", "2")];
        assert_container(&[FIRST_PID, own, first, same[0], same[1], MARK], None);
    }

    #[test]
    fn where_pid_1_may_not_be_seen_the_control_group_tells() {
        let path = format!("0::/system.slice/docker-{ID}.scope\n");
        let cgroup = ("/proc/self/cgroup", path.as_str());
        let own = OTHER_MOUNTS[0];
        assert_container(&[FIRST_PID, own, cgroup], Some("docker"));
        assert_container(&[FIRST_PID, own, MARK], None);
        // Entered from a container, with the host's namespaces.
        let first = ("/proc/1/ns/mnt", "mnt:[4026532300]");
        assert_container(&[FIRST_PID, own, first, cgroup], None);
    }

    #[test]
    fn openvz_is_told_by_what_only_its_host_has() {
        assert_container(&[("/proc/vz", "")], Some("openvz"));
        assert_container(&[("/proc/vz", ""), ("/proc/bc", "")], None);
    }

    #[test]
    fn the_limit_is_set_where_its_file_can_be_written() {
        let max = |text| on(&[("/proc/sys/net/netfilter/nf_conntrack_max", text)]).1;
        assert!(max("writable"));
        assert!(!max("read-only"));
        assert!(!on(&[]).1);
        let old = ("/proc/sys/net/ipv4/ip_conntrack_max", "writable");
        assert!(on(&[old]).1);
    }
}
