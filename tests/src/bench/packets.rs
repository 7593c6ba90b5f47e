//! Guest instructions of a packet: where every nanosecond of the clock is one
//! executed instruction.

use std::{fs, net::UdpSocket, ops::Range, time::Instant};

use anyhow::{Context as _, Result, ensure};

use super::{
    Figure,
    batches::{BATCH, BATCHES, FULL, ROOM, empty, flows, send, sender},
    median,
    observers::{
        Arm::{Armed, AtRest, Pressed},
        Observer, Observing, start_full,
    },
    programs,
    scripts::Job,
};
use crate::{
    net::{Fill, Netns},
    stage::{
        Auto,
        Backend::{Fexit, Kprobe, Tracepoint},
        Machine, Scenario, Takes, setup,
    },
    watch,
};

/// Established, new and refused packets, with and without observers.
pub static PACKETS: Scenario = Scenario {
    name: "bench_packets",
    about: "instructions of an established, a new and a refused packet, by observer",
    backends: &[],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// Nobody comes first and last: what the two differ by is the method's error.
const OBSERVERS: [Observer; 18] = [
    Observer::None,
    Observer::Ctdrop(Fexit, AtRest),
    Observer::Ctdrop(Fexit, Pressed),
    Observer::Ctdrop(Fexit, Armed),
    Observer::Ctdrop(Kprobe, AtRest),
    Observer::Ctdrop(Kprobe, Pressed),
    Observer::Ctdrop(Kprobe, Armed),
    Observer::Ctdrop(Tracepoint, Pressed),
    Observer::Bpftrace(Fexit, Job::Tuple),
    Observer::Bpftrace(Kprobe, Job::Tuple),
    Observer::Bpftrace(Tracepoint, Job::Tuple),
    Observer::Bpftrace(Fexit, Job::Same),
    Observer::Bpftrace(Kprobe, Job::Same),
    Observer::Bpftrace(Tracepoint, Job::Same),
    Observer::Empty(Fexit),
    Observer::Empty(Kprobe),
    Observer::Empty(Tracepoint),
    Observer::None,
];

fn run(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    setup::set_conntrack("max", ROOM)?;
    // The log is not what is measured.
    fs::write("/proc/sys/net/core/message_burst", "0")?;
    let netns = sender()?;
    // What only the first packets meet.
    measure(&netns, machine, Observer::None)?;
    for (number, observer) in OBSERVERS.into_iter().enumerate() {
        let cost = measure(&netns, machine, observer)
            .with_context(|| format!("observed by {observer}"))?;
        let name = if number > 0 && observer == Observer::None {
            "none again".to_owned()
        } else {
            observer.to_string()
        };
        Figure::state("established_instructions", &name, cost.established)?;
        Figure::state("new_instructions", &name, cost.new)?;
        Figure::state("refused_first_instructions", &name, cost.refused_first)?;
        Figure::state("refused_again_instructions", &name, cost.refused_again)?;
    }
    programs::measure(&netns, machine)
}

/// Instructions per packet.
struct Cost {
    /// Of a flow that is in the table.
    established: f64,
    /// The first of a flow for which there is room.
    new: f64,
    /// Refused, the first of its flow.
    refused_first: f64,
    /// Refused, and its flow was before.
    refused_again: f64,
}

fn measure(netns: &Netns, machine: &Machine, observer: Observer) -> Result<Cost> {
    empty(netns)?;
    let socket = netns.run(|| Ok(UdpSocket::bind("172.16.0.1:40000")?))?;
    let pressed = matches!(observer, Observer::Ctdrop(_, Pressed));
    let observing = if pressed {
        start_full(netns, machine, observer)?
    } else {
        observer.start(machine)?
    };
    send(&socket, 1..2, 1)?;
    let established = timed(|_| send(&socket, 1..2, BATCH).map(drop))?;
    let new = timed(|batch| send(&socket, flows(batch), BATCH).map(drop))?;
    // Whoever is at rest must not learn of the pressure before all is measured.
    let resting = match &observing {
        Observing::Ctdrop(watch) if watch.start.arm == "auto" && !pressed => Some(watch.pid()),
        _ => None,
    };
    if let Some(pid) = resting {
        watch::signal(pid, libc::SIGSTOP)?;
    }
    empty(netns)?;
    setup::set_conntrack("max", FULL)?;
    Fill::default().to_the_limit(netns)?;
    let mut refused = 0;
    let mut refuse = |flows: Range<u16>| -> Result<()> {
        let batch = send(&socket, flows, BATCH)?;
        ensure!(batch == u64::from(BATCH), "only {batch} were refused");
        refused += batch;
        Ok(())
    };
    let refused_first = timed(|batch| refuse(flows(batch)))?;
    let refused_again = timed(|_| refuse(flows(0)))?;
    if let Some(pid) = resting {
        watch::signal(pid, libc::SIGCONT)?;
    }
    observing.finish(netns, refused)?;
    setup::set_conntrack("max", ROOM)?;
    Ok(Cost {
        established,
        new,
        refused_first,
        refused_again,
    })
}

/// Nanoseconds per packet of a batch, the median of many.
fn timed(mut batch: impl FnMut(u16) -> Result<()>) -> Result<f64> {
    let mut costs = Vec::new();
    for number in 0..BATCHES {
        let start = Instant::now();
        batch(number)?;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 ns")]
        let took = start.elapsed().as_nanos() as f64;
        costs.push(took / f64::from(BATCH));
    }
    Ok(median(costs))
}
