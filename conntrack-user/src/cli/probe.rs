//! The arguments of `ctdrop probe`.

use crate::{commands::probe::Options, say::output::Output};

/// Options of `ctdrop probe`.
#[derive(Clone, Debug, clap::Args)]
pub struct Probe {
    /// Form of the output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Also show at which step a backend failed, and the end of the log if the kernel's verifier
    /// rejected a program; JSON always has both
    #[arg(short, long)]
    pub verbose: bool,
}

impl From<Probe> for Options {
    fn from(arguments: Probe) -> Self {
        Self {
            output: arguments.output,
            verbose: arguments.verbose,
        }
    }
}
