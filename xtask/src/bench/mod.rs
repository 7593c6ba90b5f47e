//! Measures, and writes what was measured into docs/benchmarks.md.

use anyhow::Result;
use clap::Subcommand;

mod aims;
mod daemon;
mod figures;
mod fix;
mod logs;
mod observe;
mod screen;
mod tables;
mod who;
mod who_from;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// What `ctdrop daemon` takes while packets are refused as fast as they can be sent
    Daemon,
    /// From the first refused packet to the limit that `watch --fix auto` has raised
    Fix,
    /// Scanning logs, beside ripgrep and grep
    Logs(logs::Options),
    /// What watching costs packets and the host, beside bpftrace and dropwatch
    Observe,
    /// What the live screen takes at 100,000 flows, beside top
    Screen,
    /// `ctdrop who` beside `conntrack -L` and a counting awk
    Who,
    /// `ctdrop who --from` beside awk that counts by source
    WhoFrom(who_from::Options),
}

/// Measures it.
pub(crate) fn bench(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Daemon => daemon::bench(),
        Bench::Fix => fix::bench(),
        Bench::Logs(options) => logs::bench(options),
        Bench::Observe => observe::bench(),
        Bench::Screen => screen::bench(),
        Bench::Who => who::bench(),
        Bench::WhoFrom(options) => who_from::bench(options),
    }
}
