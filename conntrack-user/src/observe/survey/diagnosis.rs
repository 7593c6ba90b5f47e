//! Why a rung does not hold: what is missing, and what to do about it.
//!
//! A refusal of the kernel is a bare "operation not permitted", whether a
//! capability is missing, or a filter, a lock or a policy stands in the way. The
//! error says which step failed; which of the causes it was is told from the
//! surroundings.

use std::{fmt, io};

use serde::Serialize;

use crate::{
    kernel::surroundings::{Capability, Kprobes, Lockdown, Surroundings},
    observe::backend::Backend,
};

/// What stands in the way of a rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Conntrack is not loaded.
    Conntrack,
    /// The kernel shows no type information.
    Btf,
    /// The conntrack module has no type information.
    ModuleBtf,
    /// The kernel is too old for this rung.
    Kernel,
    /// A function is not there under its name.
    Function,
    /// Capabilities do not reach out of a user namespace.
    UserNamespace,
    /// Maps do not fit into the memory that may be locked.
    LockedMemory,
    /// The kernel is locked down.
    Lockdown,
    /// A policy of `SELinux`.
    Selinux,
    /// A filter of system calls.
    Seccomp,
    /// Kprobes are not built in, or switched off.
    Kprobes,
    /// The kernel cannot trace functions, or a policy that does not show forbids
    /// it.
    Tracing,
    /// The kernel has no files with conntrack's counters.
    Counters,
    /// Nothing that is known.
    Unknown,
    /// A capability is not in effect.
    #[serde(untagged)]
    Capability(Capability),
}

/// The maps could not be made, so that it never came to programs.
#[derive(Clone, Copy, Debug)]
pub struct NoMaps;

impl fmt::Display for NoMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot create the eBPF maps")
    }
}

/// A failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failure {
    backend: Backend,
    /// See [`NoMaps`].
    maps: bool,
    /// What the kernel answered, if it was asked.
    errno: Option<i32>,
}

impl Failure {
    fn of(backend: Backend, error: &anyhow::Error) -> Self {
        let answer = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>()?.raw_os_error()
        };
        Self {
            backend,
            maps: error.is::<NoMaps>(),
            errno: error.chain().find_map(answer),
        }
    }

    const fn is_denied(&self) -> bool {
        matches!(self.errno, Some(libc::EPERM | libc::EACCES | libc::ENOSYS))
    }
}

/// Says what is missing for a rung that failed, and the remedies, as a clause;
/// empty where the error says it all.
pub fn explain(
    backend: Backend,
    error: &anyhow::Error,
    around: &Surroundings,
) -> (Vec<Missing>, String) {
    let missing = diagnose(&Failure::of(backend, error), around);
    let advice = advice(&missing, around);
    (missing, advice)
}

fn diagnose(failure: &Failure, around: &Surroundings) -> Vec<Missing> {
    if !around.conntrack {
        return vec![Missing::Conntrack];
    }
    if failure.backend == Backend::Counters {
        return vec![Missing::Counters];
    }
    if !around.btf {
        return vec![Missing::Btf];
    }
    let mut missing = Vec::new();
    if failure.is_denied() {
        missing = denied(failure, around);
    }
    if failure.backend == Backend::Kprobe && around.kprobes != Kprobes::On {
        missing.push(Missing::Kprobes);
    }
    if !missing.is_empty() {
        return missing;
    }
    // A program that may not read the kernel is refused as invalid.
    if around.lockdown == Some(Lockdown::Confidentiality) {
        return vec![Missing::Lockdown];
    }
    vec![match (failure.backend, failure.errno) {
        (Backend::Fexit, _) if around.module_btf == Some(false) => {
            if around.release < MODULE_BTF {
                Missing::Kernel
            } else {
                Missing::ModuleBtf
            }
        }
        (Backend::Fexit, None) | (Backend::Kprobe, _) => Missing::Function,
        (Backend::Fexit, Some(_)) => Missing::Tracing,
        (Backend::Tracepoint, None) => Missing::Kernel,
        _ => Missing::Unknown,
    }]
}

/// The first kernel whose modules have type information.
const MODULE_BTF: (u32, u32) = (5, 11);

/// The first kernel whose maps are not charged to locked memory.
const FREE_MAPS: (u32, u32) = (5, 11);

/// What is behind "not permitted": the surest cause first.
fn denied(failure: &Failure, around: &Surroundings) -> Vec<Missing> {
    if around.user_namespace {
        return vec![Missing::UserNamespace];
    }
    let lacking = lacking(failure.backend, around);
    if !lacking.is_empty() {
        return lacking;
    }
    let through_system_call = failure.maps || failure.backend == Backend::Kprobe;
    let causes = [
        (
            failure.maps && around.memory_lock_limited && around.release < FREE_MAPS,
            Missing::LockedMemory,
        ),
        (
            around.lockdown == Some(Lockdown::Confidentiality),
            Missing::Lockdown,
        ),
        // A capability would be missed with EPERM.
        (
            around.selinux && failure.errno == Some(libc::EACCES),
            Missing::Selinux,
        ),
        // A filter does not see which program is loaded, only that one is.
        (around.seccomp && through_system_call, Missing::Seccomp),
        (
            around.lockdown == Some(Lockdown::Integrity),
            Missing::Lockdown,
        ),
        (around.selinux, Missing::Selinux),
        (
            failure.backend == Backend::Fexit && !failure.maps,
            Missing::Tracing,
        ),
    ];
    let first = causes.into_iter().find(|&(holds, _)| holds);
    vec![first.map_or(Missing::Unknown, |(_, cause)| cause)]
}

const FULL: &[Capability] = &[
    Capability::CapBpf,
    Capability::CapPerfmon,
    Capability::CapSysAdmin,
];

/// Above this, perf events are for `CAP_SYS_ADMIN` alone.
const PARANOID: i32 = 2;

/// The capabilities that a rung needs and this process does not have.
fn lacking(backend: Backend, around: &Surroundings) -> Vec<Missing> {
    let in_module = around.module_btf.is_some();
    let paranoid = around
        .perf_event_paranoid
        .is_some_and(|level| level > PARANOID);
    let needed: &[Capability] = match backend {
        _ if !around.has_cap_bpf => &[Capability::CapSysAdmin],
        // The type information of a module is found by CAP_SYS_ADMIN alone.
        Backend::Fexit if in_module => FULL,
        Backend::Kprobe if paranoid => FULL,
        _ => &[Capability::CapBpf, Capability::CapPerfmon],
    };
    needed
        .iter()
        .filter(|&&capability| !around.may(capability))
        .map(|&capability| Missing::Capability(capability))
        .collect()
}

fn advice(missing: &[Missing], around: &Surroundings) -> String {
    let capabilities: Vec<Capability> = missing.iter().copied().filter_map(capability).collect();
    let mut advice = Vec::new();
    if !capabilities.is_empty() {
        advice.push(capabilities_missing(&capabilities, around));
    }
    let remedies = missing.iter().map(|&missing| remedy(missing, around));
    advice.extend(remedies.filter(|it| !it.is_empty()).map(ToOwned::to_owned));
    advice.join("; ")
}

const fn capability(missing: Missing) -> Option<Capability> {
    match missing {
        Missing::Capability(capability) => Some(capability),
        _ => None,
    }
}

/// As capabilities(7) writes it.
pub const fn capability_name(capability: Capability) -> &'static str {
    match capability {
        Capability::CapSysPtrace => "CAP_SYS_PTRACE",
        Capability::CapSysAdmin => "CAP_SYS_ADMIN",
        Capability::CapSyslog => "CAP_SYSLOG",
        Capability::CapPerfmon => "CAP_PERFMON",
        Capability::CapBpf => "CAP_BPF",
    }
}

fn capabilities_missing(missing: &[Capability], around: &Surroundings) -> String {
    let are = if missing.len() == 1 { "is" } else { "are" };
    let grant = grant(missing, around);
    let bpf = missing.contains(&Capability::CapBpf);
    let note = match (around.unprivileged_bpf_disabled, around.perf_event_paranoid) {
        (Some(1..), _) if bpf => {
            " (kernel.unprivileged_bpf_disabled=0 would not do: tracing needs them)"
        }
        (_, Some(level)) if level > PARANOID && !bpf => {
            " (kprobes would do without CAP_SYS_ADMIN with kernel.perf_event_paranoid=2)"
        }
        _ => "",
    };
    let names: Vec<&str> = missing.iter().copied().map(capability_name).collect();
    format!("{} {are} missing: {grant}{note}", names.join(", "))
}

/// How to get capabilities here. Root of a container has those of the bounding
/// set; what is not in there only a new container can have.
fn grant(missing: &[Capability], around: &Surroundings) -> String {
    let for_root = missing
        .iter()
        .all(|capability| around.bounding.contains(capability));
    match &around.container {
        Some(engine) if for_root && !around.root => {
            format!("run as root in the {engine} container, which may have them (docker: --user 0)")
        }
        Some(engine) => {
            let root = if around.root { "" } else { ", and run as root" };
            format!(
                "start the {engine} container with --privileged, or with --cap-add for each{root}"
            )
        }
        None if around.root => {
            "grant them, as root has been left without (systemd: CapabilityBoundingSet=)".to_owned()
        }
        None => "run as root, or grant them (systemd: AmbientCapabilities=)".to_owned(),
    }
}

/// What is to be done, where the error does not say.
fn remedy(missing: Missing, around: &Surroundings) -> &'static str {
    match missing {
        Missing::UserNamespace => {
            "this is a user namespace (a rootless container), whose capabilities do not reach the \
             kernel: run outside of it, as root of the host"
        }
        Missing::LockedMemory => {
            "maps must fit into locked memory before 5.11: raise the limit (ulimit -l unlimited, \
             systemd: LimitMEMLOCK=infinity), or grant CAP_SYS_RESOURCE"
        }
        Missing::Lockdown => match around.lockdown {
            Some(Lockdown::Confidentiality) => {
                "the kernel is locked down (confidentiality), so no program may read it: boot with \
                 lockdown=integrity or none"
            }
            _ => {
                "the kernel is locked down (integrity), which seems to include tracing here: boot \
                 with lockdown=none"
            }
        },
        Missing::Selinux => {
            "SELinux seems to deny bpf(2): look for avc denials of class bpf or perf_event (ausearch -m avc), \
             and allow these, or run in a domain that may"
        }
        Missing::Seccomp => {
            "system calls are filtered (seccomp), as in most containers: allow bpf and \
             perf_event_open, or start with --security-opt seccomp=unconfined"
        }
        Missing::Kprobes if around.kprobes == Kprobes::Off => {
            "kprobes are switched off: echo 1 > /sys/kernel/debug/kprobes/enabled"
        }
        Missing::Kprobes => "the kernel has no kprobes (CONFIG_KPROBE_EVENTS)",
        Missing::ModuleBtf => {
            "module nf_conntrack has no type information: it needs a kernel built with \
             CONFIG_DEBUG_INFO_BTF_MODULES=y"
        }
        Missing::Kernel if around.module_btf == Some(false) => {
            "modules have type information from Linux 5.11 on"
        }
        Missing::Function => "the compiler has renamed the function or left it out",
        Missing::Tracing => {
            "the kernel does not trace functions for programs (fentry, fexit): built without \
             CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS, or forbidden by a policy that does not show"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    /// A host that allows everything.
    fn good() -> Surroundings {
        Surroundings {
            release: (6, 12),
            capabilities: Capability::ALL.to_vec(),
            root: false,
            bounding: Capability::ALL.to_vec(),
            has_cap_bpf: true,
            user_namespace: false,
            container: None,
            seccomp: false,
            lockdown: Some(Lockdown::None),
            selinux: false,
            unprivileged_bpf_disabled: Some(2),
            perf_event_paranoid: Some(2),
            kprobes: Kprobes::On,
            conntrack: true,
            btf: true,
            module_btf: Some(true),
            memory_lock_limited: false,
        }
    }

    fn refused(backend: Backend, errno: i32) -> Failure {
        Failure {
            backend,
            maps: false,
            errno: Some(errno),
        }
    }

    fn no_maps(backend: Backend) -> Failure {
        Failure {
            maps: true,
            ..refused(backend, libc::EPERM)
        }
    }

    const fn cap(capability: Capability) -> Missing {
        Missing::Capability(capability)
    }

    #[test]
    fn an_error_keeps_what_the_kernel_answered() {
        let answer = io::Error::from_raw_os_error(libc::EPERM);
        let error = Err::<(), _>(answer)
            .context("cannot load")
            .context("backend")
            .unwrap_err();
        assert_eq!(
            Failure::of(Backend::Fexit, &error),
            refused(Backend::Fexit, libc::EPERM)
        );
        let answer = io::Error::from_raw_os_error(libc::EPERM);
        let error = anyhow!(answer).context(NoMaps).context("backend");
        assert_eq!(Failure::of(Backend::Fexit, &error), no_maps(Backend::Fexit));
        assert_eq!(Failure::of(Backend::Fexit, &anyhow!("no")).errno, None);
    }

    #[test]
    fn each_missing_capability_is_named() {
        use Capability::{CapBpf, CapPerfmon, CapSysAdmin};
        let without = |gone: &[Capability]| {
            let mut around = good();
            around.capabilities.retain(|it| !gone.contains(it));
            around
        };
        let tracepoint = no_maps(Backend::Tracepoint);
        let gone = without(&[CapBpf, CapSysAdmin]);
        assert_eq!(diagnose(&tracepoint, &gone), [cap(CapBpf)]);
        let gone = without(&[CapPerfmon, CapSysAdmin]);
        let program = refused(Backend::Tracepoint, libc::EPERM);
        assert_eq!(diagnose(&program, &gone), [cap(CapPerfmon)]);
        let gone = without(&[CapSysAdmin]);
        let fexit = refused(Backend::Fexit, libc::EPERM);
        assert_eq!(diagnose(&fexit, &gone), [cap(CapSysAdmin)]);
        let nothing = without(&Capability::ALL);
        assert_eq!(
            diagnose(&no_maps(Backend::Fexit), &nothing),
            [cap(CapBpf), cap(CapPerfmon), cap(CapSysAdmin)]
        );
        let built_in = Surroundings {
            module_btf: None,
            ..nothing
        };
        assert_eq!(
            diagnose(&no_maps(Backend::Fexit), &built_in),
            [cap(CapBpf), cap(CapPerfmon)]
        );
    }

    #[test]
    fn kprobes_of_a_paranoid_kernel_are_for_admin() {
        let mut around = good();
        around.capabilities = vec![Capability::CapBpf, Capability::CapPerfmon];
        let failure = refused(Backend::Kprobe, libc::EACCES);
        assert_eq!(diagnose(&failure, &around), [Missing::Unknown]);
        around.perf_event_paranoid = Some(3);
        assert_eq!(diagnose(&failure, &around), [cap(Capability::CapSysAdmin)]);
    }

    #[test]
    fn an_old_kernel_knows_one_capability() {
        let around = Surroundings {
            release: (5, 4),
            has_cap_bpf: false,
            capabilities: Vec::new(),
            ..good()
        };
        assert_eq!(
            diagnose(&no_maps(Backend::Kprobe), &around),
            [cap(Capability::CapSysAdmin)]
        );
    }

    #[test]
    fn root_of_a_user_namespace_is_not_root() {
        let around = Surroundings {
            user_namespace: true,
            ..good()
        };
        for backend in Backend::PROGRAMS {
            assert_eq!(
                diagnose(&no_maps(backend), &around),
                [Missing::UserNamespace]
            );
        }
    }

    #[test]
    fn without_conntrack_there_is_nothing_to_stand_on() {
        let around = Surroundings {
            conntrack: false,
            ..good()
        };
        for backend in Backend::LADDER {
            let failure = Failure {
                errno: None,
                ..refused(backend, 0)
            };
            assert_eq!(diagnose(&failure, &around), [Missing::Conntrack]);
        }
    }

    #[test]
    fn no_type_information_stops_every_rung_with_programs() {
        let around = Surroundings {
            btf: false,
            ..good()
        };
        for backend in Backend::PROGRAMS {
            let failure = refused(backend, libc::ENOENT);
            assert_eq!(diagnose(&failure, &around), [Missing::Btf]);
        }
    }

    #[test]
    fn a_module_without_type_information_stops_fexit() {
        let failure = Failure {
            errno: None,
            ..refused(Backend::Fexit, 0)
        };
        let without = Surroundings {
            module_btf: Some(false),
            ..good()
        };
        assert_eq!(diagnose(&failure, &without), [Missing::ModuleBtf]);
        let old = Surroundings {
            release: (5, 10),
            ..without
        };
        assert_eq!(diagnose(&failure, &old), [Missing::Kernel]);
        assert_eq!(diagnose(&failure, &good()), [Missing::Function]);
    }

    #[test]
    fn locked_down_against_reading_nothing_works() {
        let around = Surroundings {
            lockdown: Some(Lockdown::Confidentiality),
            ..good()
        };
        for backend in Backend::PROGRAMS {
            for errno in [libc::EPERM, libc::EINVAL] {
                assert_eq!(
                    diagnose(&refused(backend, errno), &around),
                    [Missing::Lockdown]
                );
            }
        }
    }

    #[test]
    fn integrity_is_suspected_only_when_nothing_else_is() {
        let around = Surroundings {
            lockdown: Some(Lockdown::Integrity),
            ..good()
        };
        let fexit = refused(Backend::Fexit, libc::EPERM);
        assert_eq!(diagnose(&fexit, &around), [Missing::Lockdown]);
        let filtered = Surroundings {
            seccomp: true,
            ..around
        };
        assert_eq!(
            diagnose(&no_maps(Backend::Fexit), &filtered),
            [Missing::Seccomp]
        );
    }

    #[test]
    fn policies_answer_otherwise_than_capabilities() {
        let around = Surroundings {
            selinux: true,
            seccomp: true,
            ..good()
        };
        let maps = |errno| Failure {
            errno: Some(errno),
            ..no_maps(Backend::Tracepoint)
        };
        assert_eq!(diagnose(&maps(libc::EACCES), &around), [Missing::Selinux]);
        assert_eq!(diagnose(&maps(libc::EPERM), &around), [Missing::Seccomp]);
        assert_eq!(diagnose(&maps(libc::ENOSYS), &around), [Missing::Seccomp]);
    }

    #[test]
    fn a_filter_that_lets_maps_pass_does_not_stop_programs() {
        let around = Surroundings {
            seccomp: true,
            ..good()
        };
        assert_eq!(
            diagnose(&refused(Backend::Fexit, libc::EPERM), &around),
            [Missing::Tracing]
        );
        assert_eq!(
            diagnose(&refused(Backend::Kprobe, libc::EPERM), &around),
            [Missing::Seccomp],
            "perf_event_open can be filtered by itself"
        );
    }

    #[test]
    fn little_memory_to_lock_stops_maps_before_5_11() {
        let around = Surroundings {
            release: (5, 10),
            memory_lock_limited: true,
            ..good()
        };
        assert_eq!(
            diagnose(&no_maps(Backend::Kprobe), &around),
            [Missing::LockedMemory]
        );
        let newer = Surroundings {
            release: (5, 11),
            ..around
        };
        assert_eq!(
            diagnose(&no_maps(Backend::Kprobe), &newer),
            [Missing::Unknown]
        );
    }

    #[test]
    fn kprobes_absent_or_off() {
        for kprobes in [Kprobes::Absent, Kprobes::Off] {
            let around = Surroundings { kprobes, ..good() };
            let failure = Failure {
                errno: None,
                ..refused(Backend::Kprobe, 0)
            };
            assert_eq!(diagnose(&failure, &around), [Missing::Kprobes]);
            let nobody = Surroundings {
                capabilities: vec![Capability::CapPerfmon],
                ..around
            };
            assert_eq!(
                diagnose(&no_maps(Backend::Kprobe), &nobody),
                [cap(Capability::CapBpf), Missing::Kprobes],
                "one would not do without the other"
            );
        }
        assert_eq!(
            diagnose(&refused(Backend::Kprobe, libc::ENOENT), &good()),
            [Missing::Function]
        );
    }

    #[test]
    fn a_kernel_too_old_for_the_tracepoint() {
        let failure = Failure {
            errno: None,
            ..refused(Backend::Tracepoint, 0)
        };
        assert_eq!(diagnose(&failure, &good()), [Missing::Kernel]);
    }

    #[test]
    fn trampolines_refused_for_no_visible_reason() {
        for errno in [libc::EPERM, libc::EINVAL, 524] {
            assert_eq!(
                diagnose(&refused(Backend::Fexit, errno), &good()),
                [Missing::Tracing]
            );
        }
    }

    #[test]
    fn the_remedy_fits_the_place() {
        let missing = [cap(Capability::CapBpf), cap(Capability::CapPerfmon)];
        let text = advice(&missing, &good());
        assert!(
            text.contains("CAP_BPF, CAP_PERFMON are missing") && text.contains("run as root"),
            "{text}"
        );
        assert!(text.contains("unprivileged_bpf_disabled"), "{text}");
        let inside = Surroundings {
            container: Some("docker".to_owned()),
            bounding: Vec::new(),
            ..good()
        };
        let text = advice(&missing, &inside);
        assert!(
            text.contains("--cap-add") && text.contains("and run as root"),
            "{text}"
        );
        assert_eq!(advice(&[Missing::Unknown], &good()), "");
    }

    #[test]
    fn a_container_that_may_is_not_to_be_started_again() {
        use Capability::{CapBpf, CapPerfmon, CapSysAdmin};
        let nobody = Surroundings {
            container: Some("docker".to_owned()),
            capabilities: Vec::new(),
            bounding: vec![CapPerfmon, CapBpf],
            ..good()
        };
        let two = advice(&[cap(CapBpf), cap(CapPerfmon)], &nobody);
        assert!(
            two.contains("run as root in the docker container") && !two.contains("--cap-add"),
            "{two}"
        );
        let three = [cap(CapBpf), cap(CapPerfmon), cap(CapSysAdmin)];
        let text = advice(&three, &nobody);
        assert!(
            text.contains("--cap-add") && text.contains("and run as root"),
            "root would lack one: {text}"
        );
        let root = Surroundings {
            root: true,
            ..nobody
        };
        let text = advice(&three, &root);
        assert!(
            text.contains("--cap-add") && !text.contains("run as root"),
            "{text}"
        );
        let bare = Surroundings {
            container: None,
            ..root
        };
        let text = advice(&three, &bare);
        assert!(!text.contains("run as root"), "{text}");
    }

    #[test]
    fn codes_are_stable() {
        let code = |missing| serde_json::to_value::<Missing>(missing).unwrap();
        for (missing, expected) in [
            (cap(Capability::CapBpf), "cap_bpf"),
            (cap(Capability::CapSysAdmin), "cap_sys_admin"),
            (cap(Capability::CapSyslog), "cap_syslog"),
            (cap(Capability::CapSysPtrace), "cap_sys_ptrace"),
            (cap(Capability::CapPerfmon), "cap_perfmon"),
            (Missing::ModuleBtf, "module_btf"),
            (Missing::UserNamespace, "user_namespace"),
            (Missing::LockedMemory, "locked_memory"),
            (Missing::Lockdown, "lockdown"),
        ] {
            assert_eq!(code(missing), expected);
        }
    }
}
