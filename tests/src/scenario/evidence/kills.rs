//! A daemon that is killed again and again while packets are refused.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    net::LanOptions,
    record::{Daemon, Database},
    scenario::staged::under_load,
    stage::{Auto, Backend, Extent, Machine, Scenario, Takes, setup},
};

/// Kills at any moment.
pub static KILLS: Scenario = Scenario {
    name: "kills",
    about: "daemon: kill -9 under load leaves a sound file, and loses the last interval at most",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Minutes,
    run,
};

/// What may be missing: the interval that was under way, a second, and the time to write
/// the one before.
const MISSING: Duration = Duration::from_millis(2_500);

fn run(machine: &Machine) -> Result<()> {
    // Starting takes seconds under software emulation, and a tenth of one here.
    let kills = match (machine.guest, machine.extent) {
        (true, _) => 10,
        (false, Extent::Short) => 20,
        (false, Extent::Full) => 100,
    };
    let lan = setup::full_lan(machine, "kills", &LanOptions::default())?;
    let directory = tempfile::tempdir()?;
    under_load(&lan, || {
        (0..kills).try_for_each(|round| kill(machine, directory.path(), round))
    })?;
    Daemon::start(machine, directory.path(), &[])?.finish()?;
    let evidence = Database::of(directory.path())?;
    evidence.demand_integrity()?;
    let gaps = evidence.gaps()?;
    let killed = gaps.iter().filter(|gap| gap.why == "killed").count();
    ensure!(killed == kills, "{kills} kills, and these gaps: {gaps:?}");
    ensure!(
        gaps.iter().all(|gap| gap.from <= gap.to),
        "a gap ends before it begins: {gaps:?}"
    );
    println!(
        "{kills} kills, {} intervals, {} packets",
        evidence.count("intervals")?,
        evidence.refused_in("%")?
    );
    Ok(())
}

/// Starts it, kills it somewhat later, and looks at the file.
fn kill(machine: &Machine, directory: &std::path::Path, round: usize) -> Result<()> {
    let daemon = Daemon::start(machine, directory, &[])?;
    // Before that it only attached its programs, which takes seconds in a virtual machine.
    let observing = monotonic()?;
    // From at once to after some intervals, in steps that fall anywhere in a second.
    let later = u64::try_from(round)? * 377 % 2_100;
    thread::sleep(Duration::from_millis(later));
    let now = monotonic()?;
    daemon.kill()?;
    let evidence = Database::of(directory)?;
    evidence.demand_integrity()?;
    let until = Duration::from_millis(evidence.until()?.try_into()?);
    let missing = now.saturating_sub(until.max(observing));
    ensure!(
        missing < MISSING,
        "round {round}: evidence ends {missing:?} before the kill"
    );
    Ok(())
}

/// The monotonic clock.
fn monotonic() -> Result<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a variable of this function.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    ensure!(failed == 0, "cannot read the monotonic clock");
    Ok(Duration::new(
        time.tv_sec.try_into()?,
        time.tv_nsec.try_into()?,
    ))
}
