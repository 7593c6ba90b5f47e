//! `cargo xtask demo`: an incident, made on purpose.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::{
    net::{Family, Flood, Lan, LanOptions, LocalFlood, Protocol},
    stage::{
        Auto, Backend, Machine, Scenario, Takes,
        console::{SHOW_BEGIN, SHOW_END},
        kernel_log, setup,
    },
};

/// Fills a table and floods it; `ctdrop status` says that packets are refused, and
/// `ctdrop watch` names the flows.
pub static DEMO: Scenario = Scenario {
    name: "demo",
    about: "a full table under flood, as an operator sees it with ctdrop status and watch",
    backends: &[Backend::Fexit],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "demo", &LanOptions::default())?;
    println!("{SHOW_BEGIN}");
    println!("# the table of namespace demo-firewall is full, and new flows arrive");
    let status = during_incident(&lan, None, || show_status(&machine.ctdrop));
    let before = lines_about_it()?;
    println!();
    let watch = show_watch(&machine.ctdrop, &lan);
    println!();
    println!(
        "# lines about the full table in the kernel's log meanwhile: {}; none names a flow",
        lines_about_it()? - before
    );
    println!("{SHOW_END}");
    status.and(watch)
}

/// Shows `ctdrop status`, whose exit code says how bad it is.
fn show_status(ctdrop: &Path) -> Result<()> {
    println!("$ ctdrop status");
    let status = Command::new(ctdrop)
        .arg("status")
        .output()
        .with_context(|| format!("cannot start {}", ctdrop.display()))?;
    print!("{}", String::from_utf8_lossy(&status.stdout));
    ensure!(
        status.status.code() == Some(2),
        "ctdrop status does not say CRITICAL: {}",
        String::from_utf8_lossy(&status.stderr)
    );
    Ok(())
}

/// Shows `ctdrop watch`, which has attached its programs when the flows arrive.
fn show_watch(ctdrop: &Path, lan: &Lan) -> Result<()> {
    println!("$ ctdrop watch --interval 2s --duration 6s --top 3");
    let mut watch = Command::new(ctdrop)
        .args(["watch", "--interval", "2s", "--duration", "6s"])
        .args(["--top", "3"])
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", ctdrop.display()))?;
    let output = watch.stdout.take().context("the output of ctdrop")?;
    let mut lines = BufReader::new(output).lines();
    // The first line comes when the programs are attached.
    if let Some(header) = lines.next() {
        println!("{}", header?);
    }
    let shown = during_incident(lan, Some(5), || {
        for line in lines {
            println!("{}", line?);
        }
        Ok(())
    });
    let ended = watch.wait()?;
    shown?;
    ensure!(ended.success(), "ctdrop watch failed");
    Ok(())
}

/// Shows something while the flows of the incident arrive: so many times, or until
/// it was shown.
pub(super) fn during_incident(
    lan: &Lan,
    times: Option<u32>,
    show: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let over = AtomicBool::new(false);
    let goes_on = |time| times.map_or_else(|| !over.load(Ordering::Relaxed), |times| time < times);
    thread::scope(|scope| {
        let incident = scope.spawn(|| incident(lan, goes_on));
        let shown = show();
        over.store(true, Ordering::Relaxed);
        let arrived = incident
            .join()
            .map_err(|_| anyhow!("the incident panicked"))?;
        shown.and(arrived)
    })
}

/// How many lines of the kernel's log are about a full table.
fn lines_about_it() -> Result<usize> {
    let log = kernel_log()?;
    Ok(log
        .lines()
        .filter(|line| line.contains("table full"))
        .count())
}

/// A name server's clients, a scan, and the firewall's own resolver, again and again
/// as long as it goes on.
fn incident(lan: &Lan, goes_on: impl Fn(u32) -> bool) -> Result<()> {
    let clients = Flood {
        flows: 40,
        packets: 2_000,
        destination_port: 53,
        ..Flood::default()
    };
    let scan = Flood {
        protocol: Protocol::TCP_SYN,
        family: Family::V6,
        flows: 3_000,
        packets: 3_000,
        destination_port: 22,
        ..Flood::default()
    };
    let own = LocalFlood {
        family: Family::V4,
        threads: 1,
        flows: 2,
        packets: 200,
    };
    for _ in (0..).take_while(|&time| goes_on(time)) {
        clients.send(lan)?;
        scan.send(lan)?;
        own.send(&lan.firewall)?;
        thread::sleep(std::time::Duration::from_millis(800));
    }
    Ok(())
}
