//! What may be wrong with the counts: programs that did not run, and errors inside
//! those that did.

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
