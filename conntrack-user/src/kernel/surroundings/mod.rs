//! What decides whether this process may load programs into the kernel, and how
//! much it can see.

mod files;
pub mod isolation;

use rustix::{
    process::{Resource, getrlimit},
    thread::{CapabilitySet, capabilities as capabilities_of_thread},
};
use serde::Serialize;

use crate::kernel::{generation::Generation, release::Release, surroundings::files::Files};

/// Capabilities that observing needs. The numbers are the kernel's
/// (`include/uapi/linux/capability.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// To find the namespaces of other users' processes.
    CapSysPtrace = 19,
    /// To find the type information of modules, and to enter namespaces. It
    /// stands for `CapPerfmon` and `CapBpf`, too.
    CapSysAdmin = 21,
    /// To read the kernel log, and addresses of kernel symbols.
    CapSyslog = 34,
    /// To load programs that trace.
    CapPerfmon = 38,
    /// To make maps and load programs.
    CapBpf = 39,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::CapSysPtrace,
        Self::CapSysAdmin,
        Self::CapSyslog,
        Self::CapPerfmon,
        Self::CapBpf,
    ];
}

/// How far the kernel is locked down against its own root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lockdown {
    /// Not at all.
    None,
    /// It must not be changed.
    Integrity,
    /// It must not be read either, which rules out all tracing.
    Confidentiality,
}

/// Whether the kernel has probes at the entries of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kprobes {
    /// It is built without.
    Absent,
    /// They are switched off: they can be set, and nothing happens.
    Off,
    /// It has, as far as one may see.
    On,
}

/// What decides whether this process may load programs.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each written out by its name"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Surroundings {
    /// Release of the kernel, major and minor number; none if it has another form.
    #[serde(skip)]
    pub release: Option<(u32, u32)>,
    /// The architecture, as Rust names it: `x86_64`, `aarch64`.
    #[serde(skip)]
    pub architecture: &'static str,
    /// The capabilities that are in effect.
    pub capabilities: Vec<Capability>,
    /// Whether the effective user is root, of whatever user namespace.
    #[serde(skip)]
    pub root: bool,
    /// The capabilities that root could have here: those in the bounding set.
    #[serde(skip)]
    pub bounding: Vec<Capability>,
    /// Whether the kernel has `CAP_BPF` and `CAP_PERFMON` (5.8); before,
    /// `CAP_SYS_ADMIN` is all there is.
    #[serde(skip)]
    pub has_cap_bpf: bool,
    /// Whether this is not the first user namespace: capabilities then do not
    /// reach the kernel.
    pub user_namespace: bool,
    /// What runs the container that this is in.
    pub container: Option<String>,
    /// Whether this process may set the limit.
    #[serde(skip)]
    pub may_set_limit: bool,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    /// None if the kernel does not know of it, or may not be asked.
    pub lockdown: Option<Lockdown>,
    /// Whether `SELinux` enforces rules, and has some for `bpf(2)`.
    pub selinux: bool,
    /// `kernel.unprivileged_bpf_disabled`
    pub unprivileged_bpf_disabled: Option<u32>,
    /// `kernel.perf_event_paranoid`. Above 2, which only Debian and its kin
    /// know, perf events are for `CAP_SYS_ADMIN`, and kprobes are such.
    pub perf_event_paranoid: Option<i32>,
    /// See [`Kprobes`].
    pub kprobes: Kprobes,
    /// Whether conntrack is built in or loaded, or on its way in or out.
    #[serde(skip)]
    pub conntrack: bool,
    /// Whether the kernel shows its type information.
    pub btf: bool,
    /// Whether it shows that of the conntrack module; none if conntrack is built
    /// in.
    pub module_btf: Option<bool>,
    /// Whether it shows that of a module which the conntrack module needs.
    #[serde(skip)]
    pub other_module_btf: bool,
    /// Whether locked memory, of which maps take before 5.11, is limited, and this
    /// process cannot lift the limit.
    pub memory_lock_limited: bool,
}

impl Surroundings {
    /// Looks around.
    pub fn read() -> Self {
        let release = Release::running().ok();
        Self {
            release: release.map(|release| (release.major, release.minor)),
            memory_lock_limited: memory_lock_is_limited(),
            ..Self::resolve(&Files::of_this_machine())
        }
    }

    fn resolve(files: &Files<'_>) -> Self {
        let trimmed = |path| Some((files.text)(path)?.trim().to_owned());
        let number = |path| trimmed(path)?.parse().ok();
        let status = (files.text)("/proc/self/status").unwrap_or_default();
        let module = (files.exists)("/sys/module/nf_conntrack/initstate");
        Self {
            release: None,
            architecture: std::env::consts::ARCH,
            capabilities: capabilities(&status, "CapEff"),
            root: effective_user(&status) == Some("0"),
            bounding: capabilities(&status, "CapBnd"),
            has_cap_bpf: number("/proc/sys/kernel/cap_last_cap")
                .is_none_or(|last| last >= Capability::CapBpf as u32),
            user_namespace: (files.link)("/proc/self/ns/user")
                .is_some_and(|link| link != isolation::FIRST_USER_NAMESPACE),
            container: isolation::container(files),
            may_set_limit: isolation::may_set_limit(files),
            seccomp: field(&status, "Seccomp") == Some("2"),
            lockdown: (files.text)("/sys/kernel/security/lockdown")
                .and_then(|text| lockdown(&text)),
            selinux: trimmed("/sys/fs/selinux/enforce").as_deref() == Some("1")
                && (files.exists)("/sys/fs/selinux/class/bpf"),
            unprivileged_bpf_disabled: number("/proc/sys/kernel/unprivileged_bpf_disabled"),
            perf_event_paranoid: trimmed("/proc/sys/kernel/perf_event_paranoid")
                .and_then(|text| text.parse().ok()),
            kprobes: if !(files.exists)("/sys/bus/event_source/devices/kprobe") {
                Kprobes::Absent
            } else if trimmed("/sys/kernel/debug/kprobes/enabled").as_deref() == Some("0") {
                Kprobes::Off
            } else {
                Kprobes::On
            },
            conntrack: Generation::ALL
                .iter()
                .any(|generation| (files.exists)(&format!("/sys/module/{}", generation.module()))),
            btf: (files.exists)("/sys/kernel/btf/vmlinux"),
            module_btf: module.then(|| (files.exists)("/sys/kernel/btf/nf_conntrack")),
            other_module_btf: (files.exists)("/sys/kernel/btf/nf_defrag_ipv4"),
            memory_lock_limited: false,
        }
    }

    /// Those of a host that allows everything, for tests.
    #[cfg(test)]
    pub(crate) fn good() -> Self {
        Self {
            release: Some((6, 12)),
            architecture: "x86_64",
            capabilities: Capability::ALL.to_vec(),
            root: false,
            bounding: Capability::ALL.to_vec(),
            has_cap_bpf: true,
            user_namespace: false,
            container: None,
            may_set_limit: true,
            seccomp: false,
            lockdown: Some(Lockdown::None),
            selinux: false,
            unprivileged_bpf_disabled: Some(2),
            perf_event_paranoid: Some(2),
            kprobes: Kprobes::On,
            conntrack: true,
            btf: true,
            module_btf: Some(true),
            other_module_btf: true,
            memory_lock_limited: false,
        }
    }

    /// The container that this is in, as `the docker container`.
    pub fn container_called(&self) -> Option<String> {
        let engine = self.container.as_deref()?;
        Some(match engine {
            isolation::ANY => "the container".to_owned(),
            engine => format!("the {engine} container"),
        })
    }

    /// What cannot be told of the host from the container that this is in.
    pub fn container_note(&self) -> Option<String> {
        let container = match self.container.as_deref()? {
            isolation::ANY => "a container".to_owned(),
            engine => format!("a container ({engine})"),
        };
        let limit = if self.may_set_limit {
            "it can change the limit of the host"
        } else {
            "the limit can be changed only on the host"
        };
        Some(format!(
            "ctdrop runs in {container} and reads only the container's files; {limit}"
        ))
    }

    /// Whether the kernel is older than this release, for sure.
    pub fn is_before(&self, release: (u32, u32)) -> bool {
        self.release.is_some_and(|running| running < release)
    }

    /// Whether perf events, and so kprobes, are for `CAP_SYS_ADMIN` alone.
    pub fn is_paranoid(&self) -> bool {
        /// Above this they are (Debian and its kin).
        const PARANOID: i32 = 2;
        self.perf_event_paranoid
            .is_some_and(|level| level > PARANOID)
    }

    /// Whether a capability is in effect, by itself or by the one that stands
    /// for it.
    pub fn may(&self, capability: Capability) -> bool {
        let implied = matches!(capability, Capability::CapBpf | Capability::CapPerfmon);
        self.capabilities.contains(&capability)
            || implied && self.capabilities.contains(&Capability::CapSysAdmin)
    }
}

/// Whether the limit on locked memory stays, whatever this process does: it may lift
/// its limit up to the hard one, and beyond that with `CAP_SYS_RESOURCE`
/// (`do_prlimit`, `kernel/sys.c`).
fn memory_lock_is_limited() -> bool {
    let may_lift = capabilities_of_thread(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
    getrlimit(Resource::Memlock).maximum.is_some() && !may_lift
}

/// A field of `/proc/PID/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    status.lines().find_map(value).map(str::trim)
}

/// The second of the four user numbers: real, effective, saved, of files.
fn effective_user(status: &str) -> Option<&str> {
    field(status, "Uid")?.split_whitespace().nth(1)
}

/// The capabilities in a set of that name.
fn capabilities(status: &str, set: &str) -> Vec<Capability> {
    let bits = field(status, set)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or(0);
    Capability::ALL
        .into_iter()
        .filter(|&capability| bits & (1 << capability as u32) != 0)
        .collect()
}

/// The level in brackets: `none [integrity] confidentiality`.
fn lockdown(text: &str) -> Option<Lockdown> {
    let (_, rest) = text.split_once('[')?;
    match rest.split_once(']')?.0 {
        "none" => Some(Lockdown::None),
        "integrity" => Some(Lockdown::Integrity),
        "confidentiality" => Some(Lockdown::Confidentiality),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
