//! What one log says, added up.

use crate::{
    kernel::message::Load,
    logs::account::{filtered_out::FilteredOut, moment::Moment, tally::Tally, traits::Traits},
};

/// A start of conntrack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// When.
    pub moment: Moment,
    /// On which host.
    pub host: usize,
    /// What it said.
    pub load: Load,
    /// Whether the same kernel had loaded it before: the limit was reset.
    pub reload: bool,
}

/// The sums of one log.
#[derive(Debug)]
pub struct LogSums {
    /// The counts.
    pub tally: Tally,
    /// Starts of conntrack.
    pub loads: Vec<Loaded>,
    /// Suppressed messages that are of no full table.
    pub suppressed_elsewhere: u64,
    /// Reports of suppressed messages that are counted although no full table is near,
    /// because the line that the kernel writes with each is missing.
    pub unfollowed: u64,
    /// Lines that the options filter out.
    pub filtered_out: FilteredOut,
    /// What its lines show besides.
    pub traits: Traits,
    /// Years by which the log runs past the time that it was written last.
    pub overshoot: i16,
}
