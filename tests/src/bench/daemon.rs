//! `cargo xtask bench daemon`: what recording takes while as many packets are refused as
//! this machine can send.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::used::{Used, used};
use crate::{
    net::{Counters, Flood, Lan, LanOptions},
    record::{Daemon, Database},
    stage::{
        Auto, Machine, Scenario, Takes,
        console::{SHOW_BEGIN, SHOW_END},
        setup,
    },
    watch::Watch,
};

/// Part of no test run: it only measures.
pub static DAEMON: Scenario = Scenario {
    name: "bench_daemon",
    about: "a storm: packets a second, and what ctdrop daemon takes to count and record them",
    backends: &[],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// How long the storm lasts.
pub(super) const STORM: Duration = Duration::from_secs(30);

/// Flows that are refused at the same time.
const FLOWS: [u32; 2] = [10_000, 100_000];

/// Bytes in a MiB.
const MIB: f64 = 1_048_576.0;

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "storm", &LanOptions::default())?;
    println!("\n{SHOW_BEGIN}");
    for flows in FLOWS {
        let (rate, _) = storm(&lan, flows)?;
        row(flows, "nobody", rate, None, 0);
        watched(machine, &lan, flows)?;
        recorded(machine, &lan, flows)?;
    }
    println!("{SHOW_END}");
    Ok(())
}

/// Packets a second of a storm of new flows, and how many were sent.
pub(super) fn storm(lan: &Lan, flows: u32) -> Result<(f64, u64)> {
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < STORM {
        let flood = Flood {
            flows,
            packets: 200_000,
            ..Flood::default()
        };
        sent += flood.send(lan)?.delivered;
    }
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
    let packets = sent as f64;
    Ok((packets / start.elapsed().as_secs_f64(), sent))
}

/// `ctdrop watch`, which does the same without recording.
fn watched(machine: &Machine, lan: &Lan, flows: u32) -> Result<()> {
    let watch = Watch::start(machine, &["--quiet"])?;
    let before = used(watch.pid())?;
    let (rate, sent) = storm(lan, flows)?;
    let after = used(watch.pid())?;
    let summary = watch.finish()?;
    ensure!(summary.total() >= sent, "{} of {sent}", summary.total());
    row(
        flows,
        "`ctdrop watch --quiet`",
        rate,
        Some((&before, &after)),
        summary.memory,
    );
    Ok(())
}

/// `ctdrop daemon`: its counts are those of the kernel.
fn recorded(machine: &Machine, lan: &Lan, flows: u32) -> Result<()> {
    // On a disk: /tmp may be in memory.
    let directory = tempfile::tempdir_in("/var/tmp")?;
    let counted = Counters::read(&lan.firewall)?;
    let daemon = Daemon::start(machine, directory.path(), &[])?;
    let before = used(daemon.pid())?;
    let (rate, sent) = storm(lan, flows)?;
    let after = used(daemon.pid())?;
    let (_, memory) = daemon.finish()?;
    let dropped = Counters::read(&lan.firewall)?.since(&counted).get("drop");
    let evidence = Database::of(directory.path())?;
    evidence.demand_integrity()?;
    let recorded = evidence.refused_in(lan.firewall.name())?;
    ensure!(
        dropped == sent && recorded == sent,
        "{sent} packets were sent, the kernel dropped {dropped}, {recorded} are recorded"
    );
    let file = fs::metadata(directory.path().join("ctdrop.db"))?.len();
    println!("the file has {file} bytes after {} s", STORM.as_secs());
    row(
        flows,
        "`ctdrop daemon`",
        rate,
        Some((&before, &after)),
        memory,
    );
    Ok(())
}

/// A row of the table in docs/benchmarks.md.
fn row(flows: u32, observer: &str, rate: f64, took: Option<(&Used, &Used)>, memory: u64) {
    let seconds = STORM.as_secs_f64();
    let took = took.map_or_else(
        || "| | |".to_owned(),
        |(before, after)| {
            let processor = after.processor.saturating_sub(before.processor);
            #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
            let (written, memory) = ((after.written - before.written) as f64, memory as f64);
            format!(
                "{:.1} % | {:.0} MiB | {:.2} MiB/s",
                processor.as_secs_f64() / seconds * 100.0,
                memory / MIB,
                written / seconds / MIB
            )
        },
    );
    println!("| {flows} | {observer} | {rate:.0} | {took} |");
}
