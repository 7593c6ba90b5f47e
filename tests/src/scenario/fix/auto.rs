//! What refused packets lead to, and that it can be taken back.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use super::common::{
    FLOOD, FULL, RAISED, begin_small, drops, expect_action, files, number, take_back, watch,
};
use crate::{
    net::LanOptions,
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// Raised, kept, taken back.
pub static AUTO: Scenario = Scenario {
    name: "fix_auto",
    about: "fix auto: the first refused packet raises the limit, files as planned, undo takes it back",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::Seconds,
    run: auto,
};

/// Planned.
pub static PLAN: Scenario = Scenario {
    name: "fix_plan",
    about: "fix plan: the plan is shown once, and nothing is changed",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: plan,
};

/// Where fixes are kept.
const KEPT: &str = "/var/lib/ctdrop-fixes";

fn auto(machine: &Machine) -> Result<()> {
    begin_small()?;
    let lan = setup::full_lan(machine, "auto", &LanOptions::default())?;
    let (buckets, before) = (number("buckets")?, drops(&lan)?);
    let mut watch = watch(machine, &["--fix", "auto"])?;
    let sent = FLOOD.send(&lan)?;
    let raised = watch.next_fix()?;
    expect_action(&raised, "raised")?;
    ensure!(
        raised["reason"] == "table_full"
            && raised["before"]["max"] == FULL
            && raised["after"]["max"] == RAISED,
        "{raised}"
    );
    ensure!(number("max")? == RAISED, "the limit is {}", number("max")?);
    let lost = drops(&lan)? - before;
    let told = raised["refused"].as_u64().context("a number")?;
    ensure!(
        (1..=lost).contains(&told) && lost < sent.delivered,
        "{told} told, {lost} of {} lost",
        sent.delivered
    );
    println!(
        "{lost} of {} packets were lost, {told} told",
        sent.delivered
    );

    let kept = watch.next_fix()?;
    expect_action(&kept, "kept")?;
    ensure!(
        kept["applied"] == true && kept["incident"]["kind"] != "flood",
        "{kept}"
    );
    let id = kept["id"].as_str().context("no id")?.to_owned();
    let written = files(&kept)?;
    ensure!(!written.is_empty(), "no file: {kept}");
    for (path, _, after) in &written {
        let content = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        ensure!(content == *after, "{path} holds {content:?}");
    }
    println!("{} files, shortfalls {}", written.len(), kept["shortfalls"]);

    // The flows are in the table by now, or have room.
    let sent = FLOOD.send(&lan)?;
    let more = drops(&lan)? - before - lost;
    ensure!(
        more == 0,
        "{more} of {} more packets were lost",
        sent.delivered
    );
    let summary = watch.finish()?;
    summary.expect_drops("table_full", lost)?;
    let fixes = summary
        .fixes
        .as_deref()
        .context("no fixes in the summary")?;
    ensure!(
        fixes.len() == 1 && fixes[0].id == id && fixes[0].max == RAISED,
        "{fixes:?}"
    );

    take_back(machine, &id)?;
    ensure!(
        (number("max")?, number("buckets")?) == (FULL, buckets),
        "not as it was: {} entries, {} buckets",
        number("max")?,
        number("buckets")?
    );
    for (path, was_there, _) in &written {
        ensure!(*was_there || !Path::new(path).exists(), "{path} is left");
    }
    Ok(())
}

fn plan(machine: &Machine) -> Result<()> {
    begin_small()?;
    let lan = setup::full_lan(machine, "plan", &LanOptions::default())?;
    let mut watch = watch(machine, &["--fix", "plan"])?;
    let first = FLOOD.send(&lan)?;
    let planned = watch.next_fix()?;
    expect_action(&planned, "planned")?;
    ensure!(
        planned["applied"] == false
            && planned["id"].is_null()
            && planned["current"]["max"] == FULL
            && planned["target"]["max"] == RAISED,
        "{planned}"
    );
    let files = files(&planned)?;
    ensure!(!files.is_empty(), "{planned}");
    let second = FLOOD.send(&lan)?;
    let summary = watch.finish()?;
    summary.expect_drops("table_full", first.delivered + second.delivered)?;
    ensure!(summary.fixes.is_some_and(|fixes| fixes.is_empty()));
    ensure!(number("max")? == FULL, "the limit was changed");
    for (path, was_there, after) in &files {
        let content = fs::read_to_string(path).ok();
        ensure!(
            content.is_some() == *was_there && content.as_ref() != Some(after),
            "{path} was changed"
        );
    }
    ensure!(!Path::new(KEPT).exists(), "something is on record");
    Ok(())
}
