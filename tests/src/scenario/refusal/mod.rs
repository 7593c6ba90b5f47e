//! Refusals of every kind: how many packets, of which flows, for which reason.

pub mod arming;
pub mod confirm;
pub mod counters;
pub mod eviction;
pub mod pcap;
pub mod rule_drops;
pub mod senders;
pub mod table_full;
pub mod unload;
