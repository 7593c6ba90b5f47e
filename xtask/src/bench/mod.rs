//! Measures ctdrop beside other programs and writes docs/benchmarks.md.

use anyhow::Result;
use clap::Subcommand;

mod section;
mod who;

/// What to measure.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Bench {
    /// `ctdrop who` beside `conntrack -L` and a counting awk
    Who,
}

/// Measures, prints the figures, and writes their section.
pub(crate) fn bench(bench: Bench) -> Result<()> {
    match bench {
        Bench::Who => who::bench(),
    }
}
