//! The evidence store: what was observed, on disk, so that it outlives the incident,
//! the process and the boot. docs/evidence.md describes the file.
//!
//! Plain data goes in and comes out: a [`record::Record`] is written in one
//! transaction, and read back for a range of time. [`Store`] writes, and only one
//! process does; [`Reader`] reads meanwhile. The file is bounded by size and age
//! ([`keep`]).

pub mod begin;
mod connect;
pub mod digest;
pub mod exact;
pub mod failure;
pub mod incident;
mod insert;
pub mod interval;
pub mod keep;
pub mod moment;
mod open;
pub mod read;
pub mod record;
mod schema;
mod select;
#[cfg(test)]
pub(crate) mod tests;
pub mod timeline;
mod write;
mod writer_lock;

pub use self::{connect::is_part_of, open::Opened, read::Reader, write::Store};
