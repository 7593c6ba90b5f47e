//! How long programs run for a refused packet on this machine's own kernel. The kernel's
//! statistics say so. Other work on the machine disturbs them less than packets a second.

use anyhow::{Context as _, Result};
use aya::sys::{Stats, enable_stats};

use super::{
    Figure, median, mounts,
    observers::{Arm::Pressed, Observer},
    programs::Runs,
    rate::{FLOWS, flood},
    scripts::Job,
};
use crate::{
    net::{Lan, LanOptions},
    stage::{Auto, Backend::Tracepoint, Machine, Scenario, Takes, setup},
};

/// The run time of programs for a refused packet, by observer.
pub static RUN_TIME: Scenario = Scenario {
    name: "bench_run_time",
    about: "how long programs run for a received packet that a full table refuses, by observer",
    backends: &[],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// The kernel of this machine may have no other hooks than tracepoints.
const OBSERVERS: [Observer; 4] = [
    Observer::Ctdrop(Tracepoint, Pressed),
    Observer::Bpftrace(Tracepoint, Job::Tuple),
    Observer::Bpftrace(Tracepoint, Job::Same),
    Observer::Empty(Tracepoint),
];

/// How often each observer is measured.
const ROUNDS: usize = 5;

fn run(machine: &Machine) -> Result<()> {
    mounts::private_debugfs()?;
    let lan = setup::full_lan(machine, "runtime", &LanOptions::default())?;
    let _statistics = enable_stats(Stats::RunTime).context("cannot measure run times")?;
    for flows in FLOWS {
        let observers: Vec<_> = OBSERVERS
            .iter()
            .filter(|observer| observer.has_room_for(flows))
            .collect();
        let mut times = vec![Vec::new(); observers.len()];
        for _ in 0..ROUNDS {
            for (observer, times) in observers.iter().zip(&mut times) {
                let time = run_time(machine, &lan, **observer, flows);
                times.push(time.with_context(|| format!("observed by {observer}"))?);
            }
        }
        for (observer, times) in observers.iter().zip(times) {
            let what = format!("run_time_{flows}");
            Figure::state(&what, &observer.to_string(), median(times))?;
        }
    }
    Ok(())
}

/// Nanoseconds that all programs of the observer run for each refused packet.
fn run_time(machine: &Machine, lan: &Lan, observer: Observer, flows: u32) -> Result<f64> {
    let others = Runs::read()?;
    let observing = observer.start(machine)?;
    let before = Runs::read()?;
    let sent = flood(flows).send(lan)?;
    let runs = Runs::read()?.since(&before);
    observing.finish(&lan.firewall, sent.delivered)?;
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^53 ns")]
    let time = runs.without(&others).time() as f64;
    #[expect(clippy::cast_precision_loss, reason = "a million packets")]
    let packets = sent.delivered as f64;
    Ok(time / packets)
}
