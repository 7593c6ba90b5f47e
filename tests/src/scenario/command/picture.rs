//! `cargo xtask picture`: the live screen during the incident of the demo.

use std::{thread, time::Duration};

use anyhow::Result;

use super::demo::during_incident;
use crate::{
    net::LanOptions,
    stage::{
        Auto, Machine, Scenario, Takes, Tmux,
        console::{SHOW_BEGIN, SHOW_END},
        setup,
    },
};

/// Part of no test run: it only shows.
pub static PICTURE: Scenario = Scenario {
    name: "picture",
    about: "the live screen under flood, with its colours",
    backends: &[],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// Columns and lines of the picture.
const SIZE: (usize, usize) = (104, 28);

/// How long packets are refused before it is taken, so that the graphs are full.
const WHILE: Duration = Duration::from_secs(40);

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "demo", &LanOptions::default())?;
    let tmux = Tmux::start(&format!("{} watch", machine.ctdrop.display()))?;
    tmux.resize(SIZE.0, SIZE.1)?;
    tmux.wait_for("quit")?;
    during_incident(&lan, None, || {
        // Before the first interval ctdrop knows no table.
        tmux.wait_for("table_full")?;
        // Who fills the table stays in the pane.
        tmux.press(&["w"])?;
        tmux.wait_for("FILLED BY")?;
        tmux.press(&["Escape"])?;
        thread::sleep(WHILE);
        println!("\n{SHOW_BEGIN}\n{}{SHOW_END}", tmux.seen_in_colour()?);
        Ok(())
    })
}
