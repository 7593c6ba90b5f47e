//! Packets a second against a full table, by observer, in a virtual machine. Its clock counts
//! instructions, and nothing else disturbs it.

use std::fs;

use anyhow::{Context as _, Result};

use super::{
    Figure,
    observers::{Arm::Pressed, Observer},
    scripts::Job,
};
use crate::{
    net::{Flood, Lan, LanOptions},
    stage::{
        Auto,
        Backend::{self, Fexit, Kprobe, Tracepoint},
        Machine, Scenario, Takes, setup,
        setup::modprobe,
    },
    watch,
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

/// Numbers of flows that the refused packets belong to.
pub(super) const FLOWS: [u32; 3] = [100, 10_000, 1_000_000];

/// The number of flows with which all observers are compared.
const COMMON: u32 = 10_000;

/// Number of refused packets. If there are more flows than this, as many packets as flows.
const PACKETS: u32 = 100_000;

/// The observers that ctdrop is compared with.
const OTHERS: [Observer; 7] = [
    Observer::Bpftrace(Fexit, Job::Tuple),
    Observer::Bpftrace(Kprobe, Job::Tuple),
    Observer::Bpftrace(Tracepoint, Job::Tuple),
    Observer::Empty(Fexit),
    Observer::Empty(Kprobe),
    Observer::Empty(Tracepoint),
    Observer::Dropwatch,
];

const BACKENDS: [Backend; 3] = [Fexit, Kprobe, Tracepoint];

fn run(machine: &Machine) -> Result<()> {
    fs::write("/proc/sys/net/core/message_burst", "0")?;
    modprobe("drop_monitor")?;
    let lan = setup::full_lan(machine, "rate", &LanOptions::default())?;
    // Only the first packets have some costs, so they are sent before measuring.
    flood(COMMON).send(&lan)?;
    for flows in FLOWS {
        let bench = Bench {
            machine,
            lan: &lan,
            flows,
            alone: flood(flows).send(&lan)?.rate(),
        };
        for backend in BACKENDS {
            let ctdrop = Observer::Ctdrop(backend, Pressed);
            bench.state(ctdrop, Process::Runs)?;
            bench.state(ctdrop, Process::Stopped)?;
        }
        if flows == COMMON {
            for observer in OTHERS {
                bench.state(observer, Process::Runs)?;
            }
        }
    }
    Ok(())
}

/// What the observer's process does while packets are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Runs,
    /// It is stopped, so that only the programs take time.
    Stopped,
}

struct Bench<'a> {
    machine: &'a Machine,
    lan: &'a Lan,
    flows: u32,
    /// Packets a second without an observer.
    alone: f64,
}

impl Bench<'_> {
    /// States packets a second as a ratio of those without an observer.
    fn state(&self, observer: Observer, process: Process) -> Result<()> {
        let rate = self
            .rate(observer, process)
            .with_context(|| format!("observed by {observer}, {} flows", self.flows))?;
        let name = match process {
            Process::Runs => observer.to_string(),
            Process::Stopped => format!("{observer}, process stopped"),
        };
        let what = format!("refused_rate_{}", self.flows);
        Figure::state(&what, &name, rate / self.alone)
    }

    fn rate(&self, observer: Observer, process: Process) -> Result<f64> {
        let observing = observer.start(self.machine)?;
        let stopped = observing.ctdrop().filter(|_| process == Process::Stopped);
        if let Some(pid) = stopped {
            watch::signal(pid, libc::SIGSTOP)?;
        }
        let sent = flood(self.flows).send(self.lan)?;
        if let Some(pid) = stopped {
            watch::signal(pid, libc::SIGCONT)?;
        }
        observing.finish(&self.lan.firewall, sent.delivered)?;
        Ok(sent.rate())
    }
}

/// Packets of this many flows.
pub(super) fn flood(flows: u32) -> Flood {
    Flood {
        flows,
        packets: PACKETS.max(flows).into(),
        ..Flood::default()
    }
}
