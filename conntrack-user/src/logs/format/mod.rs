//! What logs are made of: lines and entries of the journal, their times, and the
//! events that they tell.

pub mod event;
pub mod journal;
pub mod line;
pub mod stamp;
