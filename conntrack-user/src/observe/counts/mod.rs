//! The counts of the programs: taken out of the maps and kept.

pub(crate) mod decode;
pub mod drain;
pub(crate) mod drop_counters;
mod flow_slots;
pub mod health;
pub mod senders;
pub mod sink;
pub mod tally;
pub mod totals;
