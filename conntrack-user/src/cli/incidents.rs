//! The arguments of `ctdrop incidents`.

use std::path::PathBuf;

use crate::{
    commands::{daemon::STATE, incidents::Options},
    say::output::Output,
};

/// Options of `ctdrop incidents`.
#[derive(Clone, Debug, clap::Args)]
pub struct Incidents {
    /// Output: text for people, json for programs (one object a line)
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// The directory with the evidence database
    #[arg(long, value_name = "DIR", default_value = STATE)]
    pub state_dir: PathBuf,
}

impl From<Incidents> for Options {
    fn from(arguments: Incidents) -> Self {
        Self {
            output: arguments.output,
            state: arguments.state_dir,
        }
    }
}
