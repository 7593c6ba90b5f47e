//! The conntrack table: dumped once through ctnetlink and added up while it
//! comes in, in memory that does not grow with it.

pub mod aggregate;
pub mod dump;
pub mod entry;
pub mod filter;
pub mod hitters;
pub mod owners;
pub mod request;
pub mod socket;
pub mod timeouts;
pub mod wire;
