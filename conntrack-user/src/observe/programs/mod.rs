//! The programs: which there are, and how they are loaded and attached.

pub(crate) mod attachment;
mod confirmations;
pub mod layout;
pub(crate) mod load;
pub(crate) mod pressure_signal;
mod prototypes;
pub(crate) mod requirements;
pub(crate) mod table;
pub mod types;
