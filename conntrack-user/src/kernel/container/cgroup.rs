//! Which container a process belongs to, told from its control groups.

/// The container engines.
pub(super) const RUNTIMES: [&str; 6] = ["docker", "containerd", "crio", "podman", "lxc", "nspawn"];

/// The engine of a container if nothing tells which one.
pub(super) const ANY: &str = "container";

/// How the runtimes that name a systemd scope begin its name.
const SCOPES: [(&str, &str); 7] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "crio"),
    ("libpod-payload-", "podman"),
    ("libpod-", "podman"),
];

/// What the control groups of a process tell of its container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// As [`super::Container::runtime`].
    pub(super) runtime: &'static str,
    /// The whole id; the name of a container that has no id.
    pub(super) id: String,
    /// Uid of the pod that it is part of.
    pub(super) pod: Option<String>,
    /// The user whose systemd it is below, if its engine is rootless.
    pub(super) user: Option<u32>,
}

impl Place {
    /// Reads the text of `/proc/PID/cgroup`: a line for each hierarchy, whose
    /// third part, after two colons, is a path.
    pub(super) fn of(text: &str) -> Option<Self> {
        let found = || {
            text.lines()
                .filter_map(|line| from_path(line.splitn(3, ':').nth(2)?))
        };
        found()
            .find(|place| place.pod.is_some())
            .or_else(|| found().next())
    }
}

/// The innermost container of a control group's path.
fn from_path(path: &str) -> Option<Place> {
    let segments: Vec<&str> = path.split('/').collect();
    let (runtime, id) = (0..segments.len())
        .rev()
        .find_map(|at| with_long_id(&segments[..=at]))
        .or_else(|| segments.windows(2).find_map(|pair| lxc(pair[0], pair[1])))
        .map(|(runtime, id)| (runtime, id.to_owned()))
        .or_else(|| Some(("nspawn", segments.iter().find_map(|unit| nspawn(unit))?)))?;
    Some(Place {
        runtime,
        id,
        pod: segments.iter().rev().find_map(|segment| pod(segment)),
        user: segments.iter().find_map(|slice| user(slice)),
    })
}

/// The user of `user-UID.slice`.
fn user(slice: &str) -> Option<u32> {
    let number = slice.strip_prefix("user-")?.strip_suffix(".slice")?;
    number.parse().ok()
}

/// A machine of systemd-nspawn: `systemd-nspawn@NAME.service`, or `machine-NAME.scope` if
/// it was started by hand. A virtual machine of libvirt has such a scope, too.
fn nspawn(unit: &str) -> Option<String> {
    let service = || {
        unit.strip_prefix("systemd-nspawn@")?
            .strip_suffix(".service")
    };
    let scope = || {
        let machine = unit.strip_prefix("machine-")?.strip_suffix(".scope")?;
        (!machine.starts_with("qemu") && !machine.starts_with("lxc")).then_some(machine)
    };
    let name = service().or_else(scope)?.replace("\\x2d", "-");
    (!name.is_empty()).then_some(name)
}

/// Runtime and id, if the path's last segment names a container by its
/// full id: `docker-ID.scope`, `SLICE:cri-containerd:ID`, or just `ID`.
fn with_long_id<'a>(path: &[&'a str]) -> Option<(&'static str, &'a str)> {
    let (segment, parents) = path.split_last()?;
    let name = segment.strip_suffix(".scope").unwrap_or(segment);
    let scope = SCOPES
        .iter()
        .find_map(|(prefix, runtime)| Some((*runtime, full(name.strip_prefix(prefix)?)?)));
    let unit = || {
        let (slice, id) = name.rsplit_once(':')?;
        let runtime = match slice.rsplit_once(':')?.1 {
            "cri-containerd" | "containerd" | "nerdctl" => "containerd",
            "docker" => "docker",
            "crio" => "crio",
            "libpod" => "podman",
            _ => ANY,
        };
        Some((runtime, full(id)?))
    };
    let bare = || {
        let runtime = match parents.last() {
            Some(&"docker") => "docker",
            _ => ANY,
        };
        Some((runtime, full(name)?))
    };
    scope.or_else(unit).or_else(bare)
}

/// A whole container id: 64 hexadecimal digits.
fn full(id: &str) -> Option<&str> {
    let full = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    full.then_some(id)
}

/// An LXC container: `lxc.payload.NAME`, before LXC 4 `lxc/NAME`.
fn lxc<'a>(parent: &str, segment: &'a str) -> Option<(&'static str, &'a str)> {
    let name = match segment.strip_prefix("lxc.payload.") {
        Some(name) => name,
        None if parent == "lxc" => segment,
        None => return None,
    };
    (!name.is_empty()).then_some(("lxc", name))
}

/// Uid of a pod from `podUID` or `kubepods-burstable-podUID.slice`, where
/// systemd's names have `_` for each `-`.
fn pod(segment: &str) -> Option<String> {
    let name = segment.split(':').next()?;
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let (before, uid) = name.rsplit_once("pod")?;
    let uid = uid.replace('_', "-");
    let known =
        before.is_empty() || before.starts_with("kubepods") || before.starts_with("kubelet");
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let others = uid.bytes().filter(|&byte| byte == b'-').count();
    // The uid of a static pod is a hash, without dashes.
    let well_formed = digits == 32 && digits + others == uid.len();
    (known && well_formed).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::Place;

    const ID: &str = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100";
    const POD: &str = "1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901";
    const POD_UNIT: &str = "1b2c3d4e_5f60_7182_93a4_b5c6d7e8f901";

    /// Puts the ids into a template and reads it.
    fn read(template: &str) -> Option<Place> {
        let text = template
            .replace("{ID}", ID)
            .replace("{POD}", POD)
            .replace("{POD_UNIT}", POD_UNIT);
        Place::of(&text)
    }

    #[track_caller]
    fn assert_container(template: &str, runtime: &str, in_pod: bool) {
        let container = read(template).unwrap();
        assert_eq!(container.runtime, runtime);
        assert_eq!(container.id, ID);
        assert_eq!(container.pod.as_deref(), in_pod.then_some(POD));
    }

    #[test]
    fn docker() {
        assert_container(
            "12:memory:/docker/{ID}\n11:cpuset:/docker/{ID}\n",
            "docker",
            false,
        );
        assert_container("0::/system.slice/docker-{ID}.scope\n", "docker", false);
        assert_container(
            "1:name=systemd:/docker/{ID}/init.scope\n0::/\n",
            "docker",
            false,
        );
    }

    #[test]
    fn docker_in_docker_is_the_inner_one() {
        let outer = "f".repeat(64);
        assert_container(
            &format!("0::/docker/{outer}/docker/{{ID}}\n"),
            "docker",
            false,
        );
    }

    #[test]
    fn kubernetes_with_containerd() {
        assert_container(
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_UNIT}.slice/cri-containerd-{ID}.scope\n",
            "containerd",
            true,
        );
        assert_container(
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{POD_UNIT}.slice/cri-containerd-{ID}.scope\n",
            "containerd",
            true,
        );
        assert_container(
            "0::/system.slice/containerd.service/kubepods-besteffort-pod{POD_UNIT}.slice:cri-containerd:{ID}\n",
            "containerd",
            true,
        );
        assert_container(
            "0::/../../kubepods-pod{POD_UNIT}.slice/cri-containerd-{ID}.scope\n",
            "containerd",
            true,
        );
    }

    #[test]
    fn kubernetes_without_systemd() {
        assert_container(
            "5:memory:/kubepods/burstable/pod{POD}/{ID}\n1:name=systemd:/kubepods/burstable/pod{POD}/{ID}\n",
            "container",
            true,
        );
        assert_container("0::/kubepods/pod{POD}/{ID}\n", "container", true);
    }

    #[test]
    fn kubernetes_with_docker_or_crio() {
        assert_container(
            "4:cpu:/kubepods.slice/kubepods-pod{POD_UNIT}.slice/docker-{ID}.scope\n",
            "docker",
            true,
        );
        assert_container(
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{POD_UNIT}.slice/crio-{ID}.scope/container\n",
            "crio",
            true,
        );
    }

    #[test]
    fn the_pod_of_a_manifest_file_has_a_hash_for_uid() {
        let hash = "0123456789abcdef0123456789abcdef";
        let path = format!("0::/kubepods.slice/kubepods-pod{hash}.slice/crio-{ID}.scope\n");
        let container = Place::of(&path).unwrap();
        assert_eq!(container.pod.as_deref(), Some(hash));
    }

    #[test]
    fn podman() {
        assert_container(
            "0::/machine.slice/libpod-{ID}.scope/container\n",
            "podman",
            false,
        );
        assert_container("9:pids:/libpod_parent/libpod-{ID}\n", "podman", false);
        assert_container(
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope\n",
            "podman",
            false,
        );
        assert_container(
            "0::/system.slice/web.service/libpod-payload-{ID}\n",
            "podman",
            false,
        );
    }

    #[test]
    fn lxc() {
        for text in ["0::/lxc.payload.web/init.scope\n", "3:cpu:/lxc/web/ns\n"] {
            let container = read(text).unwrap();
            assert_eq!((container.runtime, container.id.as_str()), ("lxc", "web"));
        }
    }

    #[test]
    fn a_line_that_names_the_pod_is_preferred() {
        assert_container(
            "2:cpu:/docker/{ID}\n1:name=systemd:/kubepods/pod{POD}/{ID}\n",
            "container",
            true,
        );
    }

    #[test]
    fn what_is_no_container() {
        let texts = [
            "",
            "0::/\n",
            "nonsense",
            "0::/user.slice/user-0.slice/session-4.scope\n",
            "0::/system.slice/docker.service\n",
            "0::/system.slice/crio-conmon-{ID}.scope\n",
            "0::/machine.slice/libpod-conmon-{ID}.scope\n",
            "0::/docker/3f4e5d6c7b8a\n",
            "0::/lxc.monitor.web\n",
            "0::/kubepods.slice/kubepods-pod{POD_UNIT}.slice\n",
        ];
        for text in texts {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn machines_of_nspawn_have_names() {
        for (text, name) in [
            (
                "0::/machine.slice/systemd-nspawn@web.service/payload/init.scope\n",
                "web",
            ),
            ("0::/machine.slice/machine-db\\x2d1.scope/payload\n", "db-1"),
        ] {
            let container = read(text).unwrap();
            assert_eq!((container.runtime, container.id.as_str()), ("nspawn", name));
        }
        assert_eq!(
            read("0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope\n"),
            None
        );
    }

    #[test]
    fn a_rootless_engine_is_of_a_user() {
        let path =
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope\n";
        assert_eq!(read(path).unwrap().user, Some(1000));
        assert_eq!(
            read("0::/machine.slice/libpod-{ID}.scope\n").unwrap().user,
            None
        );
    }
}
