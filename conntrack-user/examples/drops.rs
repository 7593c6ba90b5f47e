//! Prints the packets that conntrack refuses, by reason, each second until Ctrl-C.

use anyhow::Result;
use conntrack_user::engine::{Engine, options::Options, update::Update};

#[tokio::main]
async fn main() -> Result<()> {
    let shutdown = async {
        // Without signals it ends when it is killed.
        let _ = tokio::signal::ctrl_c().await;
    };
    let mut engine = Engine::new(Options::default(), shutdown);
    while let Some(update) = engine.next().await? {
        match update {
            Update::Interval(report) => println!("{:?}", report.figures.drops),
            Update::Finished(summary) => println!("total {:?}", summary.report.figures.drops),
            _ => {}
        }
    }
    Ok(())
}
