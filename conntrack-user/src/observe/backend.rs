//! The ways to see refused packets.

use std::fmt;

use serde::Serialize;

/// A way to see refused packets, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Programs at the exits of the functions that refuse: every reason, every
    /// flow.
    Fexit,
    /// Probes at the entries and returns of the same functions: the same, at
    /// more cost, on kernels without trampolines.
    Kprobe,
    /// The tracepoint of freed packets: those that got no entry, compared with
    /// the kernel's counters.
    Tracepoint,
    /// The kernel's counters and its log, without any program: how many
    /// packets, and no flow.
    Counters,
}

impl Backend {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Fexit, Self::Kprobe, Self::Tracepoint, Self::Counters];

    /// Those that have programs.
    pub const PROGRAMS: [Self; 3] = [Self::Fexit, Self::Kprobe, Self::Tracepoint];

    /// Whether its programs see refused packets, so that these can be captured.
    pub const fn has_packets(self) -> bool {
        !matches!(self, Self::Counters)
    }

    /// Whether some of its programs run for each new flow, so that they are
    /// better not attached at rest.
    pub const fn can_rest(self) -> bool {
        matches!(self, Self::Fexit | Self::Kprobe)
    }
}

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
