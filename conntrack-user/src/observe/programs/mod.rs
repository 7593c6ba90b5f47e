//! The programs: which there are, and how they are loaded and attached.

pub(crate) mod attachment;
pub mod blind_spots;
mod confirmations;
pub mod layout;
pub(crate) mod load;
mod preempt_count;
pub(crate) mod pressure_signal;
mod prototypes;
pub(crate) mod requirements;
#[cfg(test)]
pub(crate) mod staged;
pub(crate) mod table;
pub mod types;
