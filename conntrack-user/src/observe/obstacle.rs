//! What can stand in the way of a backend.

use serde::Serialize;

use crate::kernel::surroundings::Capability;

/// What stands in the way of a backend. The names are stable codes in JSON
/// (docs/json.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// Conntrack is not loaded.
    Conntrack,
    /// The kernel shows no type information.
    Btf,
    /// The conntrack module has no type information.
    ModuleBtf,
    /// The kernel is too old for this backend.
    Kernel,
    /// A function is not there under its name.
    Function,
    /// A function or tracepoint has other arguments than the programs read.
    Prototype,
    /// Capabilities of a user namespace do not apply to the kernel.
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
    /// The kernel cannot trace functions, or a policy that cannot be identified
    /// forbids it.
    Tracing,
    /// The verifier rejected a program.
    Verifier,
    /// The kernel has no files with conntrack's counters.
    Counters,
    /// Nothing that is known.
    Unknown,
    /// A capability is not in effect.
    #[serde(untagged)]
    Capability(Capability),
}
