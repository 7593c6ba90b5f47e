//! Packets a second against a full table, by observer, in a guest: there the clock counts
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

/// Over how many flows packets are refused.
pub(super) const FLOWS: [u32; 3] = [100, 10_000, 1_000_000];

/// Those over which all observers are compared.
const COMMON: u32 = 10_000;

/// Packets that are refused; more if there are more flows.
const PACKETS: u32 = 100_000;

/// Whom ctdrop is compared with.
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
    // What only the first packets meet.
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
    /// It is stopped, so that only its programs take time.
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
    /// States how many of the packets a second are left.
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

/// Packets over so many flows.
pub(super) fn flood(flows: u32) -> Flood {
    Flood {
        flows,
        packets: PACKETS.max(flows).into(),
        ..Flood::default()
    }
}
