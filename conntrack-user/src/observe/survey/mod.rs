//! Which backends work on this host, and what stands in the way of the others.

pub mod diagnosis;
pub(crate) mod ladder;
