//! What lines about conntrack show besides that a table was full: what kind of host wrote
//! them, and how.

use std::collections::BTreeSet;

use crate::{
    kernel::{
        generation::Generation,
        message::{Limiter, Wording},
    },
    logs::format::event::Daemon,
};

/// Who wrote a line about a full table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Which code.
    pub generation: Generation,
    /// In which words, which tell how old the kernel is.
    pub wording: Wording,
    /// Which daemon wrote the log.
    pub daemon: Daemon,
}

/// What the lines of a log show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Who wrote lines about a full table.
    pub origins: BTreeSet<Origin>,
    /// Lines about a full table under the facility `user`, as which any program can write.
    pub as_user: u64,
    /// Lines that say that there were too many expected connections.
    pub expectations: u64,
    /// The limit that the last line about a full table says, as early kernels of 2.4 do.
    pub limit: Option<u64>,
    /// Whether a kernel of 2.4 reported what it suppressed.
    pub linux_2_4: bool,
}

impl Traits {
    /// Takes in lines about a full table.
    pub(super) fn full(&mut self, origin: Origin, limit: Option<u64>, lines: u64) {
        self.origins.insert(origin);
        self.limit = limit.or(self.limit);
        if origin.daemon == (Daemon::BusyBox { as_user: true }) {
            self.as_user += lines;
        }
    }

    /// Takes in a report of suppressed messages.
    pub(super) fn reported(&mut self, limiter: Limiter) {
        self.linux_2_4 |= limiter == Limiter::NetTokens;
    }

    /// Takes in those of another log.
    pub fn add(&mut self, other: Self) {
        self.origins.extend(other.origins);
        self.as_user += other.as_user;
        self.expectations += other.expectations;
        self.limit = other.limit.or(self.limit);
        self.linux_2_4 |= other.linux_2_4;
    }
}
