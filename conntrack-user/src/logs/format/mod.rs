//! What logs are made of: lines and entries of the journal, their times, and the
//! events that they tell.

mod carrier;
pub(in crate::logs) mod docker;
pub mod event;
pub mod journal;
pub mod line;
mod locale;
pub mod stamp;
pub mod unknown;
