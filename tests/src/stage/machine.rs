//! The machine that a scenario runs on, and the backend that ctdrop uses there.

use std::{fmt, fs, path::PathBuf};

/// A way by which ctdrop observes a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// fexit programs on the functions of the module `nf_conntrack`.
    Fexit,
    /// Probes at the entries and returns of the same functions.
    Kprobe,
    /// The tracepoint `skb:kfree_skb`, as on this machine's own kernel.
    Tracepoint,
    /// The kernel's counters alone, which every kernel has.
    Counters,
}

impl Backend {
    /// Every backend that some kernel is tried on. ctdrop has to be told to use
    /// the last one, on each of them.
    pub const ALL: &[Self] = &[Self::Fexit, Self::Kprobe, Self::Tracepoint];

    /// Those that have programs inside conntrack, tried in guests.
    pub const INSIDE: &[Self] = &[Self::Fexit, Self::Kprobe];

    /// The one tried on this machine's own kernel.
    pub const HERE: Self = Self::Tracepoint;
}

/// As `--backend` has it.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fexit => "fexit",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
            Self::Counters => "counters",
        })
    }
}

/// How much of what takes minutes a scenario tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What finds most.
    Short,
    /// All (`CTDROP_ALL`).
    Full,
}

impl Extent {
    /// `Full` if all is asked for.
    pub const fn of(all: bool) -> Self {
        if all { Self::Full } else { Self::Short }
    }
}

/// The machine that a scenario runs on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The ctdrop under test.
    pub ctdrop: PathBuf,
    /// The backend that ctdrop must use here.
    pub backend: Backend,
    /// Whether ctdrop must be told to use that backend.
    pub forced: bool,
    /// Whether pressure attaches what runs for each new flow.
    pub auto: bool,
    /// How much is tried.
    pub extent: Extent,
    /// Whether this is a guest, where everything may be changed.
    pub guest: bool,
}

impl Machine {
    /// The arguments that choose the backend and when it is armed.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.forced {
            arguments.extend(["--backend".to_owned(), self.backend.to_string()]);
        }
        if self.auto {
            arguments.extend(["--arm", "auto"].map(str::to_owned));
        }
        arguments
    }

    /// Whether the kernel may skip programs here. One that preempts itself skips a
    /// program while a task is preempted inside of it, and kprobes while user space
    /// takes counts out of a map on the same CPU.
    pub fn skips_runs(&self) -> bool {
        // Such as `full (lazy)`; only kernels with a choice have the file.
        let preemption = fs::read_to_string("/sys/kernel/debug/sched/preempt").unwrap_or_default();
        let preempts = preemption.contains("(full)") || preemption.contains("(lazy)");
        self.backend != Backend::Tracepoint && preempts
    }
}
