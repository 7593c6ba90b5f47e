//! What ctdrop itself takes: time to start, processor and memory, on this
//! machine's own kernel.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Figure, median};
use crate::{
    net::{Flood, LanOptions},
    stage::{Auto, Machine, Scenario, setup},
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

/// What a process has used.
struct Used {
    /// Processor time, its own and the kernel's for it.
    processor: Duration,
    /// Memory that is resident, in MiB.
    memory: f64,
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
        memory: after.memory,
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
    })
}

/// What a process has used up to now.
fn used(pid: i32) -> Result<Used> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let resident = resident(&status).with_context(|| format!("no VmRSS in {path}"))?;
    Ok(Used {
        processor: processor_time(pid)?,
        memory: resident / 1024.0,
    })
}

/// The clock of all of a process's threads, in the kernel too.
fn processor_time(pid: i32) -> Result<Duration> {
    let mut clock = 0;
    // SAFETY: the pointer is to a variable of this function.
    let failed = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    ensure!(failed == 0, "process {pid} has no clock (error {failed})");
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a variable of this function.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    ensure!(failed == 0, "cannot read the clock of process {pid}");
    Ok(Duration::new(
        time.tv_sec.try_into()?,
        time.tv_nsec.try_into()?,
    ))
}

/// `VmRSS`, in KiB.
fn resident(status: &str) -> Option<f64> {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status() {
        let status = "Name:\tctdrop\nVmHWM:\t   10000 kB\nVmRSS:\t    9216 kB\n";
        assert_eq!(resident(status), Some(9216.0));
        assert_eq!(resident("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn a_process_has_used_something() {
        let pid = std::process::id().cast_signed();
        let used = used(pid).unwrap();
        assert!(used.processor > Duration::ZERO && used.memory > 0.1);
    }
}
