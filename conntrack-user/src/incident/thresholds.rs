//! Every number that a diagnosis compares with, each with its reason. Nothing
//! else in ctdrop judges a table by a number of its own.

use std::time::Duration;

/// From how many per cent on a table is full: whoever counts packets needs it, too.
pub use crate::kernel::limits::{FULL, is_full};

/// Whole tables with fewer entries than this say nothing about what fills them.
pub const FEW: u64 = 100;

/// An established connection without a packet for this long is idle, in
/// seconds.
///
/// Chats, pools and shells rest for minutes and are in use: an hour of silence
/// is more than the heartbeat of any of these. It is below the 2 hours of TCP's
/// own keepalive, so that a few idle connections are normal; only a share of
/// them is called a leak.
pub const IDLE: u32 = 3600;

/// From this share of idle connections on the table leaks, in per cent: most of
/// it is used by nobody. This holds whoever the clients are, as clients that
/// vanish behind a gateway are many.
pub const LEAK: u64 = 50;

/// From this share on it leaks if one client has most of the idle connections,
/// in per cent: many clients that each rest a few connections are how they
/// work, one that rests a quarter of the table is not.
pub const LEAK_OF_ONE: u64 = 25;

/// From this share of entries that never saw a reply on it is a flood, in per
/// cent. Working clients get answers: half of all flows unanswered is no load,
/// but a flood, a scan, or a service that is down.
pub const FLOOD: u64 = 50;

/// A client or a service is the culprit if it has this share of the entries in
/// question, in per cent.
pub const CULPRIT: u64 = 50;

/// Unanswered entries from fewer different sources than this are not called
/// forged.
pub const SPOOFED_SOURCES: u64 = 100;

/// With fewer unanswered entries for each source than this, on average, the
/// sources are forged: a client that waits for an answer tries more often.
pub const SPOOFED_ENTRIES: u64 = 4;

/// Races for a tuple lose single packets on healthy hosts, and a counter may show one that
/// nothing explains. It is an incident if so many were refused for such a reason within
/// [`RARE_WITHIN`]; for any other reason the first packet is one.
pub const RARE: u64 = 10;

/// See [`RARE`].
pub const RARE_WITHIN: Duration = Duration::from_mins(1);

/// For how long a table must be full to be an incident if it refuses nothing: bursts that
/// find room are what a limit is for.
pub const FULL_FOR: Duration = Duration::from_secs(10);

/// An incident is over after so much time without refused packets and with room. As
/// `logs` has it, whose bursts are 5 minutes apart.
pub const QUIET: Duration = Duration::from_mins(5);

/// Who is in the table is looked for again after so much time at the earliest, and only
/// if twice as much was refused as at the last look. It costs a dump of the table.
pub const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Whether a part is at least so many per cent of the whole.
pub(super) const fn is_share(part: u64, whole: u64, per_cent: u64) -> bool {
    part > 0 && part.saturating_mul(100) >= whole.saturating_mul(per_cent)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator must not look for refused packets in an incident that has none.
    #[test]
    fn the_readme_says_that_a_full_table_opens_an_incident_too() {
        let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
        let readme = readme.replace('\n', " ");
        let seconds = FULL_FOR.as_secs();
        let opens = format!("a table stays full for {seconds} seconds, it opens an incident");
        assert!(readme.contains(&opens), "{opens}");
    }
}
