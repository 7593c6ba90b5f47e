//! `cargo xtask bench screen`: what the live screen takes while packets of 100,000 flows
//! are refused, beside other programs that redraw a terminal each second.

use anyhow::Result;

use super::{
    daemon::{STORM, storm},
    used::used,
};
use crate::{
    net::LanOptions,
    stage::{
        Auto, Machine, Scenario, Takes, Tmux,
        console::{SHOW_BEGIN, SHOW_END},
        setup,
    },
};

/// Part of no test run: it only measures.
pub static SCREEN: Scenario = Scenario {
    name: "bench_screen",
    about: "what the live screen takes at 100,000 flows, beside htop and top",
    backends: &[],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// Flows that are refused at the same time.
const FLOWS: u32 = 100_000;

/// Columns and lines of terminals.
const SIZES: [(usize, usize); 2] = [(80, 24), (200, 50)];

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "screen", &LanOptions::default())?;
    let ctdrop = format!(
        "{} watch {}",
        machine.ctdrop.display(),
        machine.arguments().join(" ")
    );
    let observers = [
        ("`ctdrop watch`", ctdrop.clone(), "quit"),
        (
            "`ctdrop watch --no-tui`",
            format!("{ctdrop} --no-tui"),
            "limit",
        ),
        ("`htop -d 10`", "htop -d 10".to_owned(), "Load average"),
        ("`top -d 1`", "top -d 1".to_owned(), "load average"),
    ];
    println!("\n{SHOW_BEGIN}");
    for (width, height) in SIZES {
        for (observer, command, shows) in &observers {
            let tmux = Tmux::start(command)?;
            tmux.resize(width, height)?;
            tmux.wait_for(shows)?;
            let pid = tmux.pid()?;
            let before = used(pid)?;
            let (rate, _) = storm(&lan, FLOWS)?;
            let after = used(pid)?;
            let processor = after.processor.saturating_sub(before.processor);
            println!(
                "| {observer} | {width}×{height} | {rate:.0} | {:.1} % | {:.0} MiB |",
                processor.as_secs_f64() / STORM.as_secs_f64() * 100.0,
                after.memory
            );
        }
    }
    println!("{SHOW_END}");
    Ok(())
}
