//! The arguments of `ctdrop probe`.

use crate::cli::Output;

/// Options of `ctdrop probe`.
#[derive(Clone, Debug, clap::Args)]
pub struct Probe {
    /// Output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}
