//! `ctdrop watch --fix`: what refused packets lead to, and what takes it back.

use std::{
    ffi::CStr,
    fs, io,
    path::Path,
    process::Command,
    ptr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Auto, Machine, Rung, Scenario, setup};
use crate::{
    net::{Counters, Flood, Lan, LanOptions},
    watch::Watch,
};

/// Raised, kept, taken back.
pub static AUTO: Scenario = Scenario {
    name: "fix_auto",
    about: "fix auto: the first refused packet raises the limit, files as planned, undo takes it back",
    rungs: Rung::INSIDE,
    alone: true,
    auto: Auto::OneRung,
    once: false,
    run: auto,
};

/// Planned.
pub static PLAN: Scenario = Scenario {
    name: "fix_plan",
    about: "fix plan: the plan is shown once, and nothing is changed",
    rungs: Rung::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    run: plan,
};

/// Left to somebody else.
pub static BACKS_OFF: Scenario = Scenario {
    name: "fix_backs_off",
    about: "fix auto: a limit that another writer puts back is left to it after three times",
    rungs: Rung::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    run: backs_off,
};

/// Bounded.
pub static CEILING: Scenario = Scenario {
    name: "fix_ceiling",
    about: "fix auto: no limit above the ceiling, which is said; a read-only sysctl is said once",
    rungs: Rung::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    run: ceiling,
};

/// The limit of `setup::full_lan`.
const FULL: u64 = 2_000;

/// The multiple of 8,192 that twice as much is rounded up to.
const RAISED: u64 = 8_192;

/// Where fixes are kept.
const KEPT: &str = "/var/lib/ctdrop/fixes";

/// Fewer flows than there is room for once the limit is raised, and than the
/// entries that have an answer, so that it is no flood.
const FLOOD: Flood = Flood {
    protocol: crate::net::Protocol::Udp,
    family: crate::net::Family::V4,
    first_flow: 0,
    flows: 1_500,
    packets: 60_000,
    destination_port: 9,
};

/// No report comes between.
const NO_INTERVAL: [&str; 2] = ["--interval", "10m"];

fn watch(machine: &Machine, arguments: &[&str]) -> Result<Watch> {
    Watch::start(
        machine,
        &[&["--all-flows"], &NO_INTERVAL[..], arguments].concat(),
    )
}

fn number(name: &str) -> Result<u64> {
    let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.trim().parse()?)
}

fn expect_action(event: &Value, action: &str) -> Result<()> {
    ensure!(event["action"] == action, "not {action}: {event}");
    Ok(())
}

/// The steps of a plan that are files: path, whether it was there, and content.
fn files(event: &Value) -> Result<Vec<(String, bool, String)>> {
    let steps = event["steps"].as_array().context("no steps")?;
    let files = steps.iter().filter(|step| step["kind"] != "live");
    files
        .map(|step| {
            let text = |key: &str| step[key].as_str().map(str::to_owned);
            Ok((
                text("path").with_context(|| format!("no path: {step}"))?,
                !step["before"].is_null(),
                text("after").with_context(|| format!("no content: {step}"))?,
            ))
        })
        .collect()
}

fn drops(lan: &Lan) -> Result<u64> {
    Ok(Counters::read(&lan.firewall)?.get("drop"))
}

fn auto(machine: &Machine) -> Result<()> {
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
        kept["applied"] == true && kept["diagnosis"]["cause"] != "flood",
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

fn take_back(machine: &Machine, id: &str) -> Result<()> {
    let undone = Command::new(&machine.ctdrop).args(["undo", id]).output()?;
    ensure!(undone.status.success(), "undo: {undone:?}");
    Ok(())
}

fn plan(machine: &Machine) -> Result<()> {
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
    watch.finish()?.expect_reconciled()?;
    read_only(machine, &lan)
}

/// Where sysctls cannot be written, that is said, once.
fn read_only(machine: &Machine, lan: &Lan) -> Result<()> {
    mount_on_itself(c"/proc/sys", 0)?;
    mount_on_itself(c"/proc/sys", libc::MS_REMOUNT | libc::MS_RDONLY)?;
    let mut watch = watch(machine, &["--fix", "auto"])?;
    FLOOD.send(lan)?;
    let failed = watch.next_fix()?;
    expect_action(&failed, "failed")?;
    let error = failed["error"].as_str().unwrap_or_default();
    ensure!(
        error.contains("nf_conntrack_") && error.contains("read-only"),
        "{failed}"
    );
    thread::sleep(Duration::from_secs(3));
    FLOOD.send(lan)?;
    let (summary, rest) = watch.finish_with_fixes()?;
    ensure!(rest.is_empty(), "said again: {rest:?}");
    ensure!(summary.fixes.is_some_and(|fixes| fixes.is_empty()));
    // SAFETY: the path is a string that ends with NUL.
    let failed = unsafe { libc::umount(c"/proc/sys".as_ptr()) };
    ensure!(
        failed == 0,
        "cannot unmount /proc/sys: {}",
        io::Error::last_os_error()
    );
    Ok(())
}

/// Makes a directory a mount of its own, or changes how it is mounted.
fn mount_on_itself(path: &CStr, flags: libc::c_ulong) -> Result<()> {
    // SAFETY: the path is a string that ends with NUL; the rest may be null.
    let failed = unsafe {
        libc::mount(
            path.as_ptr(),
            path.as_ptr(),
            ptr::null(),
            libc::MS_BIND | flags,
            ptr::null(),
        )
    };
    ensure!(
        failed == 0,
        "cannot mount {path:?}: {}",
        io::Error::last_os_error()
    );
    Ok(())
}
