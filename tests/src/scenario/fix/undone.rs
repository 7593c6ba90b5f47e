//! The user takes a fix back while ctdrop goes on watching.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::common::{FLOOD, FULL, drops, expect_action, number, take_back, watch};
use crate::{
    net::{Flood, Lan, LanOptions},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// Taken back, and left at that.
pub static UNDONE: Scenario = Scenario {
    name: "fix_undone",
    about: "fix auto: nothing is raised any more once the user has taken a fix back",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: undone,
};

fn undone(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "undone", &LanOptions::default())?;
    let mut watch = watch(machine, &["--fix", "auto"])?;
    FLOOD.send(&lan)?;
    expect_action(&watch.next_fix()?, "raised")?;
    let kept = watch.next_fix()?;
    expect_action(&kept, "kept")?;
    let id = kept["id"].as_str().context("no id")?;
    take_back(machine, id)?;

    refused_anew(&lan, 10_000)?;
    let taken_back = watch.next_fix()?;
    expect_action(&taken_back, "taken_back")?;
    ensure!(taken_back["id"] == id, "not {id}: {taken_back}");
    // Longer than the cool-down.
    thread::sleep(Duration::from_secs(3));
    refused_anew(&lan, 20_000)?;
    let (summary, rest) = watch.finish_with_fixes()?;
    ensure!(rest.is_empty(), "it goes on: {rest:?}");
    ensure!(number("max")? == FULL, "the limit is {}", number("max")?);
    summary.expect_reconciled()
}

/// Sends flows that were not sent before, from this one on: they are refused.
fn refused_anew(lan: &Lan, first_flow: u32) -> Result<()> {
    let before = drops(lan)?;
    Flood {
        first_flow,
        ..FLOOD
    }
    .send(lan)?;
    ensure!(drops(lan)? > before, "the table is not full");
    Ok(())
}
