//! Adds up what logs say: lines about a full table, and the messages that the kernel
//! suppressed next to them.

pub mod attribution;
pub mod filter;
pub mod filtered_out;
mod host;
pub mod moment;
pub mod rate_limit;
pub mod tally;
pub mod year;
