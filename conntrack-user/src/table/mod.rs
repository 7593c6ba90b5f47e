//! The conntrack table: dumped once through ctnetlink and added up while it
//! comes in, in memory that does not grow with it.
//!
//! One thread receives, which is when the kernel walks the hash table; another one
//! reads the datagrams in place and adds each entry up. What is asked of the
//! kernel's filters is checked again here, so that a kernel that does not know a
//! filter, or gets it wrong, only costs time.

pub mod aggregate;
pub mod dump;
pub mod early_drop;
pub mod entry;
pub mod filter;
pub mod heavy_hitters;
pub mod idle;
pub mod owners;
pub mod receive;
pub mod request;
pub mod sample;
pub mod saved;
pub mod second_look;
pub mod socket;
pub mod survey;
pub mod timeouts;
pub mod wire;
