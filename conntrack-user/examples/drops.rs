//! Prints how many packets conntrack refuses, by reason, each second until Ctrl-C.

use anyhow::Result;
use conntrack_user::engine::{Engine, options::Options, update::Update};

#[tokio::main]
async fn main() -> Result<()> {
    let shutdown = async { drop(tokio::signal::ctrl_c().await) };
    let mut engine = Engine::new(Options::default(), shutdown);
    while let Some(update) = engine.next().await? {
        let figures = match update {
            Update::Interval(report) => report.figures,
            Update::Finished(totals) => totals.report.figures,
            _ => continue,
        };
        for (reason, packets) in figures.drops {
            println!("{reason} {packets}");
        }
    }
    Ok(())
}
