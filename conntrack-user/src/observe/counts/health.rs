//! What may be wrong with the counts: programs that did not run, and errors inside
//! those that did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How often the kernel skipped each program that counts; see
/// `observe::programs::load::Programs::missed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The one that sees refused allocations, or dropped packets.
    pub allocations: u64,
    /// The one that sees refused confirmations.
    pub confirmations: u64,
    /// The ones that see evictions.
    pub evictions: u64,
    /// The one that sees clashes.
    pub clashes: u64,
}

impl Missed {
    /// Adds those of other programs.
    pub const fn add(&mut self, more: &Self) {
        self.allocations += more.allocations;
        self.confirmations += more.confirmations;
        self.evictions += more.evictions;
        self.clashes += more.clashes;
    }

    /// All together.
    pub const fn sum(&self) -> u64 {
        self.allocations + self.confirmations + self.evictions + self.clashes
    }
}

/// How often a program ran, and for how long, as the kernel counts it while
/// `kernel.bpf_stats_enabled` is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// How often.
    pub count: u64,
    /// For how long, all together.
    pub nanoseconds: u64,
}

/// The same of each program, by name; without those of which the kernel counted nothing.
pub type RunsByProgram = BTreeMap<&'static str, Runs>;

/// Adds those of other programs.
pub fn add_runs(runs: &mut RunsByProgram, more: &RunsByProgram) {
    for (&program, more) in more {
        let runs = runs.entry(program).or_default();
        runs.count += more.count;
        runs.nanoseconds += more.nanoseconds;
    }
}

/// Errors inside the programs; 0 on a healthy host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// Packets without a flow, because kernel memory could not be read.
    pub unreadable: u64,
    /// Marks between programs that found no room.
    pub join_lost: u64,
}

impl Faults {
    /// Adds those of other programs.
    pub const fn add(&mut self, more: &Self) {
        self.unreadable += more.unreadable;
        self.join_lost += more.join_lost;
    }
}
