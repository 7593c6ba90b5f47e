//! What stands in the way of a backend: decided from its failure and the
//! surroundings, and from nothing else.
//!
//! A refusal of the kernel is a bare "operation not permitted", whether a
//! capability is missing, or a filter, a lock or a policy stands in the way. The
//! failure says which step it was; which of the causes it was is told from the
//! surroundings.

use crate::{
    kernel::surroundings::{Capability, Kprobes, Lockdown, Surroundings},
    observe::{
        backend::Backend,
        failure::{Cause, LoadFailure, Step},
        obstacle::Obstacle,
    },
};

/// What stood in the way of a backend that failed.
pub(super) fn obstacles(
    backend: Backend,
    failure: &LoadFailure,
    around: &Surroundings,
) -> Vec<Obstacle> {
    match &failure.cause {
        Cause::ConntrackNotLoaded => vec![Obstacle::Conntrack],
        Cause::NoCounters => vec![Obstacle::Counters],
        Cause::NoBtf => vec![Obstacle::Btf],
        Cause::Kprobes(_) => vec![Obstacle::Kprobes],
        Cause::Expected(obstacles) => obstacles.clone(),
        &Cause::Errno(errno) => Refusal {
            backend,
            step: failure.step,
            errno,
        }
        .obstacles(around),
        // Whatever else is missing: a program that may not read the kernel is rejected.
        _ if around.lockdown == Some(Lockdown::Confidentiality) => vec![Obstacle::Lockdown],
        Cause::NoModuleBtf if around.is_before(MODULE_BTF) => vec![Obstacle::Kernel],
        Cause::NoModuleBtf | Cause::ModuleBtfLeftOut | Cause::BadModuleBtf(_) => {
            vec![Obstacle::ModuleBtf]
        }
        Cause::NoFunction(_)
        | Cause::NoFunctionType(_)
        | Cause::FunctionChanged { .. }
        | Cause::FunctionPassedBy { .. } => vec![Obstacle::Function],
        Cause::PrototypeChanged { .. } => vec![Obstacle::Prototype],
        Cause::NoTracepoint(_) | Cause::NoDropReason => vec![Obstacle::Kernel],
        Cause::NoFields(_) | Cause::NoDropCounter | Cause::Other(_) => vec![Obstacle::Unknown],
        // The file that says so may not be there, as in a container.
        Cause::Rejected { log, .. } if may_not_read(log) => vec![Obstacle::Lockdown],
        Cause::Rejected { .. } => vec![Obstacle::Verifier],
    }
}

/// Whether the kernel keeps its programs from reading its memory, by what its verifier
/// says: it has no such function for them then (`bpf_base_func_proto`,
/// `kernel/bpf/helpers.c`, and `check_helper_call`, `kernel/bpf/verifier.c`, 5.10 to 7.3). In
/// kprobes, aya calls the older function of the two if it finds that the newer one is not there.
fn may_not_read(log: &str) -> bool {
    let reads = ["bpf_probe_read_kernel#", "bpf_probe_read#"];
    log.lines().any(|line| {
        reads.iter().any(|name| line.contains(name))
            && (line.contains("unknown func") || line.contains("cannot use helper"))
    })
}

/// What would stand in the way of a backend, told without trying it: rights, and
/// what the kernel is `able_to_trace`. What cannot be read is taken for good.
pub(super) fn expected(
    backend: Backend,
    able_to_trace: bool,
    around: &Surroundings,
) -> Vec<Obstacle> {
    if backend == Backend::Counters {
        return Vec::new();
    }
    if around.user_namespace {
        return vec![Obstacle::UserNamespace];
    }
    let lacking = lacking(backend, around);
    if !lacking.is_empty() {
        return lacking;
    }
    if around.lockdown == Some(Lockdown::Confidentiality) {
        return vec![Obstacle::Lockdown];
    }
    if backend == Backend::Fexit && !able_to_trace {
        return vec![Obstacle::Tracing];
    }
    Vec::new()
}

/// The first kernel whose modules have type information.
const MODULE_BTF: (u32, u32) = (5, 11);

/// The first kernel whose maps are not charged to locked memory.
const FREE_MAPS: (u32, u32) = (5, 11);

/// A system call that failed.
#[derive(Clone, Copy)]
struct Refusal {
    backend: Backend,
    step: Step,
    errno: i32,
}

impl Refusal {
    fn obstacles(&self, around: &Surroundings) -> Vec<Obstacle> {
        let mut found = Vec::new();
        if matches!(self.errno, libc::EPERM | libc::EACCES | libc::ENOSYS) {
            found = self.denied(around);
        } else if self.step == Step::CreateMaps {
            // Who may make some maps and not all (kernel.unprivileged_bpf_disabled=0) is told
            // that the others are invalid.
            found = self.rights(around);
        }
        if self.backend == Backend::Kprobe && around.kprobes != Kprobes::On {
            found.push(Obstacle::Kprobes);
        }
        if !found.is_empty() {
            return found;
        }
        // A program that may not read the kernel is refused as invalid.
        if around.lockdown == Some(Lockdown::Confidentiality) {
            return vec![Obstacle::Lockdown];
        }
        vec![match (self.backend, self.step) {
            (Backend::Fexit, Step::LoadProgram(_) | Step::AttachProgram { .. }) => {
                Obstacle::Tracing
            }
            (Backend::Kprobe, Step::AttachProgram { .. }) => Obstacle::Function,
            _ => Obstacle::Unknown,
        }]
    }

    /// The rights that are missing.
    fn rights(&self, around: &Surroundings) -> Vec<Obstacle> {
        if around.user_namespace {
            return vec![Obstacle::UserNamespace];
        }
        lacking(self.backend, around)
    }

    /// What is behind "not permitted": the surest cause first.
    fn denied(&self, around: &Surroundings) -> Vec<Obstacle> {
        let rights = self.rights(around);
        if !rights.is_empty() {
            return rights;
        }
        let maps = self.step == Step::CreateMaps;
        let causes = [
            (
                maps && around.memory_lock_limited && around.is_before(FREE_MAPS),
                Obstacle::LockedMemory,
            ),
            (
                around.lockdown == Some(Lockdown::Confidentiality),
                Obstacle::Lockdown,
            ),
            // A capability would be missed with EPERM.
            (
                around.selinux && self.errno == libc::EACCES,
                Obstacle::Selinux,
            ),
            // A filter does not see which program is loaded, only that one is.
            (
                around.seccomp && (maps || self.backend == Backend::Kprobe),
                Obstacle::Seccomp,
            ),
            (
                around.lockdown == Some(Lockdown::Integrity),
                Obstacle::Lockdown,
            ),
            (around.selinux, Obstacle::Selinux),
            (self.backend == Backend::Fexit && !maps, Obstacle::Tracing),
        ];
        let first = causes.into_iter().find(|&(holds, _)| holds);
        vec![first.map_or(Obstacle::Unknown, |(_, cause)| cause)]
    }
}

const FULL: &[Capability] = &[
    Capability::CapBpf,
    Capability::CapPerfmon,
    Capability::CapSysAdmin,
];

/// The capabilities that a backend needs and this process does not have.
fn lacking(backend: Backend, around: &Surroundings) -> Vec<Obstacle> {
    let in_module = around.module_btf.is_some();
    let needed: &[Capability] = match backend {
        Backend::Counters => &[],
        _ if !around.has_cap_bpf => &[Capability::CapSysAdmin],
        // The type information of a module is found by CAP_SYS_ADMIN alone.
        Backend::Fexit if in_module => FULL,
        Backend::Kprobe if around.is_paranoid() => FULL,
        _ => &[Capability::CapBpf, Capability::CapPerfmon],
    };
    needed
        .iter()
        .filter(|&&capability| !around.may(capability))
        .map(|&capability| Obstacle::Capability(capability))
        .collect()
}

#[cfg(test)]
mod tests;
