//! Kernel logs: which packets they say were refused, and how many messages the
//! kernel suppressed meanwhile.
//!
//! [`read`] finds and opens logs, [`search`] finds the lines that matter,
//! [`mod@format`] takes them apart, and [`account`] adds them up.

pub mod account;
pub mod format;
pub mod read;
pub mod search;
pub mod time;
