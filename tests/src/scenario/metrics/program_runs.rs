//! The kernel's statistics of the programs (`kernel.bpf_stats_enabled`).

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    net::{Flood, Lan, LanOptions},
    record::Daemon,
    scrape::{self, Samples},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// Runs and their time.
pub static PROGRAM_RUNS: Scenario = Scenario {
    name: "program_runs",
    about: "daemon: with bpf_stats_enabled, runs of programs and their time fit the refused packets",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// The switch.
const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Packets that are refused each time.
const PACKETS: u64 = 3_000;

/// Seconds that a run may take on average: it is dozens of instructions at least, and
/// software emulation is slow.
const LEAST: f64 = 10e-9;
const MOST: f64 = 1e-3;

/// How long an interval may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "runs", &LanOptions::default())?;
    let directory = tempfile::tempdir()?;
    let address = scrape::free_address()?;
    let listen = address.to_string();
    let daemon = Daemon::start(machine, directory.path(), &["--metrics-listen", &listen])?;
    fs::write(STATISTICS, "1").with_context(|| format!("cannot write {STATISTICS}"))?;
    let begun = Instant::now();
    let counted = refuse(&lan, address, PACKETS)?;
    let took = begun.elapsed().as_secs_f64();
    fs::write(STATISTICS, "0")?;
    judge(&counted, took)?;
    // Runs that nobody counts: the numbers stay.
    let before = Runs::settled(address)?;
    refuse(&lan, address, 2 * PACKETS)?;
    let after = Runs::settled(address)?;
    ensure!(
        before == after,
        "without statistics: {before:?}, then {after:?}"
    );
    daemon.finish().map(drop)
}

/// Runs of each program, and the seconds of all of them.
#[derive(Debug, PartialEq)]
struct Runs(BTreeMap<String, (u64, f64)>);

impl Runs {
    fn of(samples: &Samples) -> Result<Self> {
        let mut runs = BTreeMap::new();
        for (program, count) in samples.series("ctdrop_program_runs_total") {
            let name = "ctdrop_program_run_time_seconds_total";
            let mut times = samples.series(name);
            let time = times.find(|(labels, _)| *labels == program);
            let (_, time) = time.with_context(|| format!("no time of {program}"))?;
            runs.insert(program.to_owned(), (count.parse()?, time.parse()?));
        }
        Ok(Self(runs))
    }

    /// Those that two intervals have in common.
    fn settled(address: SocketAddr) -> Result<Self> {
        thread::sleep(Duration::from_secs(3));
        Self::of(&Samples::of(address)?)
    }
}

/// Has packets refused until there are so many in all; gives the runs of programs then.
fn refuse(lan: &Lan, address: SocketAddr, in_all: u64) -> Result<Runs> {
    Flood {
        flows: 30,
        packets: PACKETS,
        ..Flood::default()
    }
    .send(lan)?;
    let series = "ctdrop_refused_packets_total{reason=\"table_full\"}";
    let begun = Instant::now();
    loop {
        let refused = Samples::of(address)?.count(series)?;
        if refused == Some(in_all) {
            return Runs::settled(address);
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{refused:?} of {in_all} refused packets"
        );
        thread::sleep(Duration::from_millis(200));
    }
}

/// Demands that each program took a plausible time, and that one ran for each packet.
#[expect(clippy::cast_precision_loss, reason = "far less than 2^53")]
fn judge(Runs(runs): &Runs, took: f64) -> Result<()> {
    println!("{runs:?} in {took:.1} s");
    ensure!(!runs.is_empty(), "no program ran");
    let each = runs
        .values()
        .all(|&(count, time)| count > 0 && (LEAST..MOST).contains(&(time / count as f64)));
    ensure!(each, "implausible: {runs:?}");
    let of_packets = runs
        .values()
        .any(|&(count, _)| (PACKETS..PACKETS + PACKETS / 10).contains(&count));
    ensure!(of_packets, "none ran once for each of {PACKETS}: {runs:?}");
    let all: f64 = runs.values().map(|&(_, time)| time).sum();
    ensure!(all < 2.0 * took, "{all} s in {took} s of two processors");
    Ok(())
}
