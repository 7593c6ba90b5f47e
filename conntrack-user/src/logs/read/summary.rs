//! What the logs say, added up, and what could be read of them.

use std::fmt;

use serde::Serialize;

use crate::logs::{
    account::{
        filter::short,
        filtered_out::FilteredOut,
        sums::{Loaded, LogSums},
        tally::Tally,
        traits::Traits,
    },
    search::scanner::Skipped,
};

/// A log that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// A path, `stdin`, `journal` or `/dev/kmsg`.
    pub source: String,
    /// How much of it, as it is stored.
    pub bytes: u64,
}

/// A log that could not be read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// A path, `stdin`, `journal` or `/dev/kmsg`.
    pub source: String,
    /// The error.
    pub why: String,
}

impl fmt::Display for Unreadable {
    /// Names the log once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, why } = self;
        if why.contains(source) {
            f.write_str(why)
        } else {
            write!(f, "{source}: {why}")
        }
    }
}

/// What the logs say, added up, and what could be read of them.
#[derive(Debug, Default)]
pub struct Summary {
    /// The counts of all logs.
    pub tally: Tally,
    /// Starts of conntrack, with the names of their hosts.
    pub loads: Vec<(Loaded, Option<Box<[u8]>>)>,
    /// Suppressed messages that are of no full table.
    pub suppressed_elsewhere: u64,
    /// Reports of suppressed messages that are counted although no full table is near,
    /// because the line that the kernel writes with each is missing.
    pub unfollowed: u64,
    /// Lines that the options filter out.
    pub filtered_out: FilteredOut,
    /// What its lines show besides.
    pub traits: Traits,
    /// What was read.
    pub sources: Vec<Source>,
    /// What was not.
    pub unreadable: Vec<Unreadable>,
    /// Lines that were not counted.
    pub skipped: Skipped,
    /// Records of the kernel's log overwritten before they could be read.
    pub lost: u64,
    /// What may be wrong, in sentences.
    pub warnings: Vec<String>,
}

impl Summary {
    /// Whether all that was counted is of the host of this name, as far as the logs name it:
    /// `localhost` is nobody's name.
    pub fn is_all_of(&self, name: &[u8]) -> bool {
        let by_host = self.tally.by_host();
        let is_it = |host: Option<&[u8]>| host.is_some_and(|host| short(host) == short(name));
        short(name) != b"localhost"
            && !by_host.is_empty()
            && by_host.keys().all(|&host| is_it(self.tally.name(host)))
    }

    /// Takes in what a log says, apart from its counts.
    pub(super) fn add(&mut self, sums: LogSums) {
        for load in sums.loads {
            let host = sums.tally.name(load.host).map(Into::into);
            self.loads.push((load, host));
        }
        self.suppressed_elsewhere += sums.suppressed_elsewhere;
        self.unfollowed += sums.unfollowed;
        self.filtered_out.add(sums.filtered_out);
        self.traits.add(sums.traits);
    }
}
