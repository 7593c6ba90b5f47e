//! What the commands say, and how they fail.

pub mod bench_who;
pub mod demo;
pub mod errors;
mod golden;
pub mod incident;
pub mod matrix;
pub mod picture;
pub mod probe;
pub mod screen;
pub mod status;
pub mod unit_rights;
pub mod who;
