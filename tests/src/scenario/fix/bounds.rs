//! What a limit is not raised beyond, and who is not fought.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::common::{FLOOD, FULL, drops, expect_action, number, watch};
use crate::{
    net::{Flood, LanOptions},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// Left to somebody else.
pub static BACKS_OFF: Scenario = Scenario {
    name: "fix_backs_off",
    about: "fix auto: a limit that another writer puts back is left to it after three times",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: backs_off,
};

/// Bounded.
pub static CEILING: Scenario = Scenario {
    name: "fix_ceiling",
    about: "fix auto: no limit above the ceiling, which is said",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: ceiling,
};

fn backs_off(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "other", &LanOptions::default())?;
    let mut watch = watch(machine, &["--fix", "auto"])?;
    let over = AtomicBool::new(false);
    let limit = u32::try_from(FULL)?;
    let actions = thread::scope(|scope| -> Result<Vec<String>> {
        // The other writer.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if number("max").is_ok_and(|max| max != FULL) {
                    // What it does not get done, it tries again.
                    let _ = setup::set_conntrack("max", limit);
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        let flooding = scope.spawn(|| -> Result<()> {
            let begin = Instant::now();
            // Each time others: those that got in while the limit was raised are
            // refused no more.
            let mut first_flow = 0;
            while !over.load(Ordering::Relaxed) && begin.elapsed() < Duration::from_mins(2) {
                Flood {
                    first_flow,
                    flows: 100,
                    packets: 200,
                    ..FLOOD
                }
                .send(&lan)?;
                first_flow += 100;
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        });
        let mut actions = Vec::new();
        let heard = (|| -> Result<()> {
            while actions.last().is_none_or(|last| last != "backed_off") {
                let event = watch.next_fix()?;
                println!("{}: found {}", event["action"], event["found"]);
                ensure!(event["action"] != "failed", "{event}");
                actions.push(event["action"].as_str().context("an action")?.to_owned());
            }
            Ok(())
        })();
        over.store(true, Ordering::Relaxed);
        flooding
            .join()
            .map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        heard.map(|()| actions)
    })?;
    let count = |action: &str| actions.iter().filter(|it| *it == action).count();
    ensure!(
        count("raised") == 3 && count("put_back") == 2 && count("backed_off") == 1,
        "{actions:?}"
    );
    setup::set_conntrack("max", limit)?;
    // Longer than the cool-down.
    thread::sleep(Duration::from_secs(3));
    let before = drops(&lan)?;
    FLOOD.send(&lan)?;
    thread::sleep(Duration::from_secs(1));
    ensure!(drops(&lan)? > before, "the table is not full");
    ensure!(number("max")? == FULL, "it goes on to fight");
    watch.finish()?.expect_reconciled()
}

fn ceiling(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "ceiling", &LanOptions::default())?;
    let mut watch = watch(machine, &["--fix", "auto", "--ceiling", "2500"])?;
    FLOOD.send(&lan)?;
    let raised = watch.next_fix()?;
    expect_action(&raised, "raised")?;
    ensure!(raised["after"]["max"] == 2_500, "{raised}");
    expect_action(&watch.next_fix()?, "kept")?;
    // Longer than the cool-down.
    thread::sleep(Duration::from_secs(3));
    FLOOD.send(&lan)?;
    let held = watch.next_fix()?;
    expect_action(&held, "held")?;
    ensure!(held["why"] == "ceiling", "{held}");
    ensure!(number("max")? == 2_500, "the limit is {}", number("max")?);
    watch.finish()?.expect_reconciled()
}
