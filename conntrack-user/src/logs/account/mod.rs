//! Adds up what logs say: lines about a full table, and the messages that the kernel
//! suppressed next to them.

pub mod attribution;
mod counts;
pub mod filter;
pub mod filtered_out;
mod host;
pub mod moment;
pub mod rate_limit;
mod reports;
pub mod sums;
pub mod tally;
pub mod traits;
pub mod year;
