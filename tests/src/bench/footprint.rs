//! What ctdrop itself takes: time to start, processor and memory, on this
//! machine's own kernel.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{
    Figure, median,
    used::{Used, used},
};
use crate::{
    net::{Flood, LanOptions},
    stage::{Auto, Machine, Scenario, Takes, setup},
    watch::Watch,
};

/// Time to start, idle share, the drain of a million flows, and the size.
pub static FOOTPRINT: Scenario = Scenario {
    name: "bench_footprint",
    about: "time to start, processor and memory of ctdrop, at rest and for a million flows",
    backends: &[],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// Starts that are timed.
const STARTS: usize = 15;

/// How long it is watched doing nothing.
const IDLE: Duration = Duration::from_mins(1);

/// Distinct flows that are refused at once, and how often that is done.
const FLOWS: u32 = 100_000;
const FLOODS: u32 = 10;

/// Longer than the interval between two drains.
const PAUSE: Duration = Duration::from_millis(1_100);

/// Bytes in a MiB.
const MIB: f64 = 1_048_576.0;

fn run(machine: &Machine) -> Result<()> {
    let backend = machine.backend.to_string();
    let state = |what, value| Figure::state(what, &backend, value);
    let starts = (0..STARTS).map(|_| start(machine));
    state("start_ms", median(starts.collect::<Result<_>>()?))?;
    if machine.guest {
        // Where time is not what passes here.
        return Ok(());
    }
    let idle = idle(machine)?;
    state(
        "idle_percent",
        idle.processor.as_secs_f64() / IDLE.as_secs_f64() * 100.0,
    )?;
    state("idle_mib", idle.memory)?;
    let drained = drain(machine)?;
    state("million_flows_cpu_s", drained.processor.as_secs_f64())?;
    state("million_flows_mib", drained.memory)?;
    #[expect(clippy::cast_precision_loss, reason = "a few MiB")]
    let size = fs::metadata(&machine.ctdrop)?.len() as f64;
    state("binary_mib", size / MIB)
}

/// Milliseconds from the start of the process to its first line, which comes when
/// all programs are attached.
fn start(machine: &Machine) -> Result<f64> {
    let begin = Instant::now();
    let watch = Watch::start(machine, &["--quiet"])?;
    let took = begin.elapsed();
    watch.finish()?;
    Ok(took.as_secs_f64() * 1e3)
}

/// While nothing is refused.
fn idle(machine: &Machine) -> Result<Used> {
    let watch = Watch::start(machine, &["--quiet"])?;
    let before = used(watch.pid())?;
    thread::sleep(IDLE);
    let after = used(watch.pid())?;
    watch.finish()?;
    Ok(Used {
        processor: after.processor.saturating_sub(before.processor),
        ..after
    })
}

/// While a million packets of as many flows are refused, in portions that fit
/// between two drains.
fn drain(machine: &Machine) -> Result<Used> {
    let lan = setup::full_lan(machine, "drain", &LanOptions::default())?;
    let watch = Watch::start(machine, &["--quiet"])?;
    let before = used(watch.pid())?;
    for number in 0..FLOODS {
        let flood = Flood {
            first_flow: number * FLOWS,
            flows: FLOWS,
            packets: FLOWS.into(),
            ..Flood::default()
        };
        flood.send(&lan)?;
        thread::sleep(PAUSE);
    }
    let after = used(watch.pid())?;
    let summary = watch.finish()?;
    let counted = summary.total();
    ensure!(
        counted >= u64::from(FLOWS * FLOODS),
        "only {counted} packets were counted"
    );
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^53")]
    let memory = summary.memory as f64 / MIB;
    Ok(Used {
        processor: after.processor.saturating_sub(before.processor),
        memory,
        ..after
    })
}
