//! What `ctdrop watch` is to do.

use crate::{auto::guard::Mode, engine, say::output::Output};

/// What `ctdrop watch` is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is observed, and what of it is reported.
    pub engine: engine::options::Options,
    /// In which form.
    pub output: Output,
    /// Whether ports are shown by the name of their service.
    pub service_names: bool,
    /// What is done about refused packets.
    pub fix: Mode,
    /// No limit is set above this one; by default, above what the memory allows.
    pub ceiling: Option<u64>,
    /// Whether only the totals and fixes are shown.
    pub quiet: bool,
}
