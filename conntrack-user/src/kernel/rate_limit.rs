//! The rate limit that network messages of the kernel share: `net_ratelimit_state` in
//! `net/core/utils.c`, with the values of a kernel that nobody has told others.

/// Messages that are written at once, at most: `net.core.message_burst`.
pub const BURST: u64 = 10;

/// The time that they are of, in microseconds: `net.core.message_cost`. Once it is over,
/// the next message is written, after a report of how many were suppressed meanwhile
/// (`lib/ratelimit.c: ___ratelimit`, 2.6.27 or so to 7.3).
pub const INTERVAL: i64 = 5_000_000;

/// How far from a line about a full table, before and after, suppressed messages may
/// be about a full table, too; in microseconds.
pub const NEAR: i64 = 60_000_000;
