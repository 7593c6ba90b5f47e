//! Units of systemd: their files, which of them a boot starts, under which
//! conditions, and in which order.

pub(in crate::facts) mod command;
pub(in crate::facts) mod condition;
pub(in crate::facts) mod early;
pub(in crate::facts) mod files;
pub mod order;
pub(in crate::facts) mod reached;
