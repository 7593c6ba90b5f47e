//! How it was counted, and how exact that is.

use serde::Serialize;

/// How it was counted, and how exact that is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Method {
    /// Whether all numbers of refused packets are exact.
    pub exact: bool,
    /// Bounds of them, where only counters tell.
    pub at_least: Option<u64>,
    /// The upper one.
    pub at_most: Option<u64>,
    /// How much of the time there is evidence of, in seconds.
    pub covered: f64,
    /// Of it, seconds in which the programs were not attached that run for each new flow.
    pub unarmed: f64,
    /// Runs of programs that the kernel skipped.
    pub missed: u64,
    /// Errors inside the programs.
    pub faults: u64,
    /// Packets that counters show and no program saw.
    pub unexplained: u64,
    /// By how many packets a flow can be too low.
    pub error_bound: u64,
    /// Times without evidence, or with less.
    pub gaps: Vec<Gap>,
    /// What the kernel's log showed.
    pub log: Log,
    /// What else is to be known, each as a sentence.
    pub notes: Vec<String>,
}

/// A time without evidence, or with less.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Gap {
    /// Its begin.
    pub since: String,
    /// Its end.
    pub until: String,
    /// `stopped`, `killed`, `reboot` or `not_written`.
    pub why: String,
    /// Rows that were lost.
    pub lost: u64,
    /// The error.
    pub detail: Option<String>,
}

/// What the kernel's log showed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Log {
    /// Lines about a full table. In a report about an incident: those of its time, and of
    /// its network namespace, as far as the kernel names one.
    pub lines: u64,
    /// The other lines about a full table.
    pub lines_elsewhere: u64,
    /// Messages that the kernel reports to have suppressed.
    pub suppressed: u64,
    /// In a report about an incident: those reported before its first line. The kernel
    /// suppressed them in an earlier burst.
    pub suppressed_before: u64,
    /// The first lines about conntrack.
    pub shown: Vec<LogLine>,
    /// How many more there are.
    pub omitted: u64,
}

/// A line of the kernel log.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LogLine {
    /// When.
    pub time: String,
    /// What it says.
    pub text: String,
}
