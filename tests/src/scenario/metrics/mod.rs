//! The metrics of `ctdrop daemon`: read by Prometheus, and by clients that behave badly.

pub mod clients;
mod expressions;
pub mod program_runs;
pub mod prometheus;
