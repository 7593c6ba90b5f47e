//! What `ctdrop watch` is to do.

use std::path::PathBuf;

use crate::{
    auto::guard::Mode,
    engine,
    logs::time::When,
    say::output::Output,
    store::keep::Bounds,
    subscribers::{Printed, hook::command::Command},
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
    /// What is run for incidents, if anything is; only where evidence is written.
    pub hook: Option<Command>,
    /// Where refused packets are written, if they are; then `engine` captures them.
    pub pcap: Option<Pcap>,
    /// What was recorded is played back, and nothing observed.
    pub replay: Option<Replay>,
}

/// What is played back.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The file of evidence.
    pub file: PathBuf,
    /// How fast.
    pub speed: Speed,
    /// Only what was recorded from this time on.
    pub since: Option<When>,
    /// Only what was recorded up to this time.
    pub until: Option<When>,
}

/// How fast something is played back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was recorded.
    Times(f64),
    /// Without waiting.
    Max,
}

/// Where evidence is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The file.
    pub file: PathBuf,
    /// How much is kept.
    pub bounds: Bounds,
}

/// Where refused packets are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcap {
    /// The file.
    pub file: PathBuf,
    /// Its bytes, at most.
    pub most: u64,
}
