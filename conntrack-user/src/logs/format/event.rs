//! What a log says: one event for each line or entry that matters.

use crate::{kernel::message::Message, logs::format::stamp::Stamp};

/// Something that a log says, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where the line begins in the log, and where the next one does.
    pub at: (u64, u64),
    /// When.
    pub stamp: Stamp,
    /// Microseconds since the kernel had started.
    pub uptime: Option<u64>,
    /// Where.
    pub host: Option<Box<[u8]>>,
    /// Which start of the kernel it is of, if the log says so.
    pub boot: Option<[u8; 32]>,
    /// Which kind of daemon wrote the log.
    pub daemon: Daemon,
    /// What.
    pub what: What,
}

/// Which kind of daemon wrote a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Daemon {
    /// Any that does not write facility and level into each line.
    #[default]
    Usual,
    /// The one of BusyBox.
    BusyBox {
        /// Whether under the facility `user`, as which any program can write: its klogd
        /// is linked with glibc.
        as_user: bool,
    },
    /// The one of OpenWrt.
    OpenWrt,
}

/// What a log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A message of the kernel, so many times.
    Message(Message, u64),
    /// The line before, so many times again.
    Repeated(u64),
    /// What is left of a report of suppressed messages: so many at least, or more.
    DamagedReport(u64),
    /// Any other line, which matters only by what it comes right after.
    Other {
        /// What is left of a report, if it is one that was cut short: how many
        /// messages it says.
        left_of_report: Option<u64>,
    },
}
