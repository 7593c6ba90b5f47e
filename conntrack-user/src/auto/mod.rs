//! A fix that is planned or made when packets are refused, without anybody
//! asking: [`guard`] does it, as [`decide`] decides.

pub mod background;
pub mod decide;
pub mod event;
pub mod guard;
mod priority;
