//! What stands in the way of a backend and what to do about it, in words.

use crate::{
    kernel::surroundings::{Capability, Kprobes, Lockdown, Surroundings},
    observe::{
        failure::{Cause, LoadFailure},
        obstacle::Obstacle,
    },
};

/// What has happened, and what to do about it, as one clause.
pub(super) fn sentence(
    failure: &LoadFailure,
    obstacles: &[Obstacle],
    around: &Surroundings,
) -> String {
    let certain = !obstacles.is_empty()
        && obstacles
            .iter()
            .all(|&obstacle| is_certain(obstacle, around));
    let what = match failure.cause {
        // What was not tried has not failed.
        Cause::Expected(_) => None,
        // At which step it failed tells nothing more.
        _ if certain => None,
        _ => Some(failure.to_string()),
    };
    let clauses: Vec<String> = what
        .into_iter()
        .chain(remedies(obstacles, around))
        .collect();
    clauses.join("; ")
}

/// Whether the surroundings say that an obstacle is there, and that nothing gets past it.
fn is_certain(obstacle: Obstacle, around: &Surroundings) -> bool {
    match obstacle {
        Obstacle::Capability(_) | Obstacle::UserNamespace => true,
        Obstacle::Lockdown => around.lockdown == Some(Lockdown::Confidentiality),
        _ => false,
    }
}

/// What to do about each obstacle, where the failure does not say.
fn remedies(obstacles: &[Obstacle], around: &Surroundings) -> Vec<String> {
    let capability = |&obstacle: &Obstacle| match obstacle {
        Obstacle::Capability(capability) => Some(capability),
        _ => None,
    };
    let capabilities: Vec<Capability> = obstacles.iter().filter_map(capability).collect();
    let missing = (!capabilities.is_empty()).then(|| missing(&capabilities, around));
    let others = obstacles
        .iter()
        .filter_map(|&obstacle| remedy(obstacle, around).map(ToOwned::to_owned));
    missing.into_iter().chain(others).collect()
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

fn missing(missing: &[Capability], around: &Surroundings) -> String {
    let are = if missing.len() == 1 { "is" } else { "are" };
    let grant = grant(missing, around);
    let bpf = missing.contains(&Capability::CapBpf);
    let note = match around.unprivileged_bpf_disabled {
        Some(1..) if bpf => {
            " (kernel.unprivileged_bpf_disabled=0 is not enough: tracing needs these capabilities)"
        }
        _ if around.is_paranoid() && !bpf => {
            " (or set kernel.perf_event_paranoid=2: then kprobes do not need CAP_SYS_ADMIN)"
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
    match around.container_called() {
        Some(container) if for_root && !around.root => {
            format!("run as root in {container}, which may have them (docker: --user 0)")
        }
        Some(container) => {
            let root = if around.root { "" } else { ", and run as root" };
            format!("start {container} with --privileged, or with --cap-add for each{root}")
        }
        None if around.root => {
            "grant them: root does not have them here (systemd: CapabilityBoundingSet=)".to_owned()
        }
        None => "run as root, or grant them (systemd: AmbientCapabilities=)".to_owned(),
    }
}

/// What to do about an obstacle that is no capability; none where the failure says
/// it.
fn remedy(obstacle: Obstacle, around: &Surroundings) -> Option<&'static str> {
    Some(match obstacle {
        Obstacle::UserNamespace => {
            "this is a user namespace (a rootless container), whose capabilities do not apply to \
             the kernel: run outside of it, as root of the host"
        }
        Obstacle::LockedMemory => {
            "before Linux 5.11 the maps must fit into locked memory: raise the limit (ulimit -l \
             unlimited, systemd: LimitMEMLOCK=infinity), or grant CAP_SYS_RESOURCE"
        }
        Obstacle::Lockdown if around.lockdown == Some(Lockdown::Integrity) => {
            "the kernel is locked down (integrity), which probably forbids tracing here: boot with \
             lockdown=none"
        }
        Obstacle::Lockdown => {
            "the kernel is locked down (confidentiality), so no program may read its memory: boot \
             with lockdown=integrity or lockdown=none"
        }
        Obstacle::Selinux => {
            "SELinux probably denies bpf(2): look for AVC denials of class bpf or perf_event \
             (ausearch -m avc) and allow them, or run ctdrop in a domain that may use bpf(2)"
        }
        Obstacle::Seccomp => {
            "a seccomp filter blocks system calls, as in most containers: allow bpf and \
             perf_event_open, or start with --security-opt seccomp=unconfined"
        }
        Obstacle::Kprobes if around.kprobes == Kprobes::Off => {
            "switch kprobes on: echo 1 > /sys/kernel/debug/kprobes/enabled"
        }
        Obstacle::Kprobes => "the kernel must be built with CONFIG_KPROBE_EVENTS=y",
        Obstacle::Tracing if is_before_direct_calls(around) => {
            "on arm64, programs can be attached to functions (fentry, fexit) since Linux 6.4"
        }
        Obstacle::Tracing => {
            "tracing of functions (fentry, fexit) is not built in \
             (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y), or blocked by a security policy that \
             ctdrop cannot identify"
        }
        Obstacle::Prototype | Obstacle::Verifier => {
            "please report this, with what ctdrop probe -o json says"
        }
        Obstacle::Conntrack
        | Obstacle::Btf
        | Obstacle::ModuleBtf
        | Obstacle::Kernel
        | Obstacle::Function
        | Obstacle::Counters
        | Obstacle::Unknown
        | Obstacle::Capability(_) => return None,
    })
}

/// Whether a kernel of this architecture and age cannot have
/// `CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS` (`arch/arm64/Kconfig`, from 6.4 on).
fn is_before_direct_calls(around: &Surroundings) -> bool {
    around.architecture == "aarch64" && around.is_before((6, 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::failure::Step;

    /// What is to be done about these.
    fn advice(obstacles: &[Obstacle], around: &Surroundings) -> String {
        let failure = LoadFailure::new(Step::Expect, Cause::Expected(obstacles.to_vec()));
        sentence(&failure, obstacles, around)
    }

    #[test]
    fn the_remedy_fits_the_place() {
        let missing = [
            Obstacle::Capability(Capability::CapBpf),
            Obstacle::Capability(Capability::CapPerfmon),
        ];
        let text = advice(&missing, &Surroundings::good());
        assert!(
            text.contains("CAP_BPF, CAP_PERFMON are missing") && text.contains("run as root"),
            "{text}"
        );
        assert!(text.contains("unprivileged_bpf_disabled"), "{text}");
        let inside = Surroundings {
            container: Some("docker".to_owned()),
            bounding: Vec::new(),
            ..Surroundings::good()
        };
        let text = advice(&missing, &inside);
        assert!(
            text.contains("--cap-add") && text.contains("and run as root"),
            "{text}"
        );
        assert_eq!(advice(&[Obstacle::Unknown], &Surroundings::good()), "");
    }

    #[test]
    fn what_failed_comes_before_the_remedy() {
        let text = sentence(
            &LoadFailure::new(Step::LoadProgram("alloc_exit"), Cause::Errno(libc::EPERM)),
            &[Obstacle::Tracing],
            &Surroundings::good(),
        );
        assert_eq!(
            text,
            "cannot load eBPF program alloc_exit: Operation not permitted (os error 1); tracing of \
             functions (fentry, fexit) is not built in (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y), \
             or blocked by a security policy that ctdrop cannot identify"
        );
    }

    #[test]
    fn an_old_kernel_of_arm64_is_named_as_such() {
        let old = Surroundings {
            architecture: "aarch64",
            release: Some((6, 1)),
            ..Surroundings::good()
        };
        let text = advice(&[Obstacle::Tracing], &old);
        assert!(text.ends_with("since Linux 6.4"), "{text}");
        let x86 = Surroundings {
            architecture: "x86_64",
            ..old
        };
        let text = advice(&[Obstacle::Tracing], &x86);
        assert!(text.contains("CONFIG_DYNAMIC_FTRACE"), "{text}");
    }

    #[test]
    fn a_certain_cause_is_said_without_the_step_that_met_it() {
        let locked = Surroundings {
            lockdown: Some(Lockdown::Confidentiality),
            ..Surroundings::good()
        };
        let rejected = Cause::Rejected {
            errno: libc::EINVAL,
            log: "unknown func bpf_probe_read_kernel#113\n".repeat(8),
        };
        let said = |program, cause| {
            let failure = LoadFailure::new(Step::LoadProgram(program), cause);
            sentence(&failure, &[Obstacle::Lockdown], &locked)
        };
        let text = said("alloc_exit", rejected);
        assert_eq!(
            text,
            "the kernel is locked down (confidentiality), so no program may read its memory: boot \
             with lockdown=integrity or lockdown=none"
        );
        assert_eq!(text, said("kfree_skb", Cause::Errno(libc::EPERM)));
        let integrity = Surroundings {
            lockdown: Some(Lockdown::Integrity),
            ..locked
        };
        let failure = LoadFailure::new(Step::LoadProgram("kfree_skb"), Cause::Errno(libc::EPERM));
        let text = sentence(&failure, &[Obstacle::Lockdown], &integrity);
        assert!(
            text.starts_with("cannot load eBPF program kfree_skb") && text.contains("probably"),
            "{text}"
        );
    }

    #[test]
    fn a_container_that_may_is_not_to_be_started_again() {
        use Capability::{CapBpf, CapPerfmon, CapSysAdmin};
        let nobody = Surroundings {
            container: Some("docker".to_owned()),
            capabilities: Vec::new(),
            bounding: vec![CapPerfmon, CapBpf],
            ..Surroundings::good()
        };
        let two = advice(
            &[
                Obstacle::Capability(CapBpf),
                Obstacle::Capability(CapPerfmon),
            ],
            &nobody,
        );
        assert!(
            two.contains("run as root in the docker container") && !two.contains("--cap-add"),
            "{two}"
        );
        let three = [
            Obstacle::Capability(CapBpf),
            Obstacle::Capability(CapPerfmon),
            Obstacle::Capability(CapSysAdmin),
        ];
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
}
