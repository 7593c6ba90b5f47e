//! The state of one host while a log is read.

use crate::logs::account::{
    moment::Moment,
    rate_limit::RateLimit,
    reports::{Report, Reports},
    tally::Place,
};

/// What the next message of a host is compared with.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// Its number in the tally.
    pub(super) number: usize,
    /// Whether it is asked for.
    pub(super) wanted: bool,
    /// The last full table.
    pub(super) full: Option<Moment>,
    /// Whether suppressed messages were reported since then.
    pub(super) reported: bool,
    /// The last line about a full table, folded ones included: when, where in the
    /// log it ended, and whether the log says since when its kernel ran.
    pub(super) written: Option<(Moment, u64, bool)>,
    /// Which table that line is about.
    pub(super) place: Place,
    /// The rate limit of its kernel.
    pub(super) limit: RateLimit,
    /// Reports of suppressed messages that are not attributed yet.
    pub(super) reports: Reports,
    /// Reports far from any full table without the line that the kernel writes with
    /// each, which may have been about one: their sum, and how many.
    pub(super) unfollowed: Option<(Report, u64)>,
    /// The last full table, of whichever start of the kernel.
    pub(super) last_full: Option<Moment>,
    /// The start of the kernel that the last message is of, if the log says so.
    pub(super) boot: Option<[u8; 32]>,
    /// Microseconds since the kernel started, of the last message.
    pub(super) uptime: u64,
    /// Where, in the log, conntrack was loaded last since the kernel started.
    pub(super) loaded: Option<(u64, bool)>,
}

impl Host {
    /// A host that has said nothing yet.
    pub(super) fn new(number: usize, wanted: bool) -> Self {
        Self {
            number,
            wanted,
            full: None,
            reported: false,
            written: None,
            place: Place::Unnamed,
            limit: RateLimit::default(),
            reports: Reports::default(),
            unfollowed: None,
            last_full: None,
            boot: None,
            uptime: 0,
            loaded: None,
        }
    }
}
