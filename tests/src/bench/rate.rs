//! Packets a second against a full table, by observer.

use std::fs;

use anyhow::{Context as _, Result};

use super::{
    Figure, median, mounts,
    observers::{Arm::Armed, Observer},
    scripts::Job,
};
use crate::{
    net::{Flood, Lan, LanOptions},
    stage::{
        Auto,
        Backend::{Fexit, Kprobe, Tracepoint},
        Machine, Scenario, Takes, setup,
        setup::modprobe,
    },
};

/// Refused packets a second, with and without observers.
pub static RATE: Scenario = Scenario {
    name: "bench_rate",
    about: "received packets that a full table refuses each second, by observer",
    backends: &[],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// Observers in a guest.
const INSIDE: [Observer; 8] = [
    Observer::None,
    Observer::Ctdrop(Fexit, Armed),
    Observer::Bpftrace(Fexit, Job::Tuple),
    Observer::Ctdrop(Kprobe, Armed),
    Observer::Bpftrace(Kprobe, Job::Tuple),
    Observer::Ctdrop(Tracepoint, Armed),
    Observer::Bpftrace(Tracepoint, Job::Tuple),
    Observer::Dropwatch,
];

/// Observers on this machine's own kernel, which may have no more.
const HERE: [Observer; 3] = [
    Observer::None,
    Observer::Ctdrop(Tracepoint, Armed),
    Observer::Bpftrace(Tracepoint, Job::Tuple),
];

/// Rounds here, where other work disturbs.
const ROUNDS: usize = 9;

fn run(machine: &Machine) -> Result<()> {
    let (observers, rounds) = if machine.guest {
        fs::write("/proc/sys/net/core/message_burst", "0")?;
        modprobe("drop_monitor")?;
        (INSIDE.as_slice(), 1)
    } else {
        mounts::private_debugfs()?;
        (HERE.as_slice(), ROUNDS)
    };
    let lan = setup::full_lan(machine, "rate", &LanOptions::default())?;
    // What only the first packets meet.
    flood(machine).send(&lan)?;
    let mut rates = vec![Vec::new(); observers.len()];
    for _ in 0..rounds {
        for (observer, rates) in observers.iter().zip(&mut rates) {
            let rate = rate(machine, &lan, *observer);
            rates.push(rate.with_context(|| format!("observed by {observer}"))?);
        }
    }
    for (observer, rate) in observers.iter().zip(&rates) {
        // Each round's against that without an observer, side by side.
        let ratios = rate
            .iter()
            .zip(&rates[0])
            .map(|(with, without)| with / without);
        let mut ratios: Vec<_> = ratios.collect();
        ratios.sort_by(f64::total_cmp);
        let name = observer.to_string();
        Figure::state("refused_rate_least", &name, ratios[0])?;
        Figure::state("refused_rate_most", &name, ratios[ratios.len() - 1])?;
        Figure::state("refused_rate", &name, median(ratios))?;
        Figure::state("refused_per_second", &name, median(rate.clone()))?;
    }
    Ok(())
}

/// What is refused: in a guest, whose clock nothing disturbs, less.
fn flood(machine: &Machine) -> Flood {
    Flood {
        flows: 10_000,
        packets: if machine.guest { 100_000 } else { 200_000 },
        ..Flood::default()
    }
}

fn rate(machine: &Machine, lan: &Lan, observer: Observer) -> Result<f64> {
    let observing = observer.start(machine)?;
    let sent = flood(machine).send(lan)?;
    observing.finish(&lan.firewall, sent.delivered)?;
    println!("{observer}: {:.0} packets/s", sent.rate());
    Ok(sent.rate())
}
