//! The arguments of `ctdrop probe`.

use crate::{commands::probe::Options, say::output::Output};

/// Options of `ctdrop probe`.
#[derive(Clone, Debug, clap::Args)]
pub struct Probe {
    /// Form of the output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

impl From<Probe> for Options {
    fn from(arguments: Probe) -> Self {
        Self {
            output: arguments.output,
        }
    }
}
