//! What `ctdrop watch` is to do.

use std::path::PathBuf;

use crate::{
    auto::guard::Mode, engine, say::output::Output, store::keep::Bounds, subscribers::Printed,
};

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
    /// What is printed.
    pub printed: Printed,
    /// Whether a terminal gets a screen.
    pub screen: bool,
    /// Where evidence is written, if it is.
    pub record: Option<Record>,
}

/// Where evidence is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The file.
    pub file: PathBuf,
    /// How much is kept.
    pub bounds: Bounds,
}
