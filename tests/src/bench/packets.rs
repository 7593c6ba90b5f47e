//! Guest instructions of a packet: where every nanosecond of the clock is one
//! executed instruction.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    ops::Range,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Figure, median,
    observers::{
        Arm::{Armed, AtRest},
        Observer, Observing,
    },
    programs,
    scripts::Job,
};
use crate::{
    net::{Fill, Netns},
    scenario::{
        Auto, Machine,
        Rung::{Fexit, Kprobe, Tracepoint},
        Scenario, setup,
    },
    watch,
};

/// Established, new and refused packets, with and without observers.
pub static PACKETS: Scenario = Scenario {
    name: "bench_packets",
    about: "instructions of an established, a new and a refused packet, by observer",
    rungs: &[],
    alone: true,
    auto: Auto::No,
    once: false,
    run,
};

/// Nobody comes first and last: what the two differ by is the method's error.
const OBSERVERS: [Observer; 13] = [
    Observer::None,
    Observer::Ctdrop(Fexit, AtRest),
    Observer::Ctdrop(Fexit, Armed),
    Observer::Ctdrop(Kprobe, AtRest),
    Observer::Ctdrop(Kprobe, Armed),
    Observer::Ctdrop(Tracepoint, Armed),
    Observer::Bpftrace(Fexit, Job::Tuple),
    Observer::Bpftrace(Kprobe, Job::Tuple),
    Observer::Bpftrace(Tracepoint, Job::Tuple),
    Observer::Bpftrace(Fexit, Job::Same),
    Observer::Bpftrace(Kprobe, Job::Same),
    Observer::Bpftrace(Tracepoint, Job::Same),
    Observer::None,
];

/// Packets between two looks at the clock: few, so that most batches see no
/// tick of the scheduler.
pub(super) const BATCH: u16 = 100;

/// How many of them.
pub(super) const BATCHES: u16 = 41;

/// Entries allowed in times of calm: far from pressure.
pub(super) const ROOM: u32 = 60_000;

/// Entries allowed under pressure.
pub(super) const FULL: u32 = 2_000;

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

/// A namespace that sends its packets nowhere, and tracks them.
pub(super) fn sender() -> Result<Netns> {
    let netns = Netns::create("bench")?;
    netns.set_sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
    netns.ip("link add out type dummy
        link set out up
        address add 172.16.0.1/24 dev out")?;
    netns.nft(
        "table inet bench {
            chain output {
                type filter hook output priority filter
                ct state { new, established } counter
            }
        }",
    )?;
    Ok(netns)
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
    let observing = observer.start(machine)?;
    send(&socket, 1..2, 1)?;
    let established = timed(|_| send(&socket, 1..2, BATCH).map(drop))?;
    let new = timed(|batch| send(&socket, flows(batch), BATCH).map(drop))?;
    // Whoever is at rest must not learn of the pressure before all is measured.
    let resting = match &observing {
        Observing::Ctdrop(watch) if watch.start.arm == "auto" => Some(watch.pid()),
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

/// The destination ports of a batch in which each packet is a flow of its own.
pub(super) fn flows(batch: u16) -> Range<u16> {
    let first = 1024 + batch * BATCH;
    first..first + BATCH
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

/// Sends packets to these ports, which take turns; gives how many were refused.
pub(super) fn send(socket: &UdpSocket, ports: Range<u16>, packets: u16) -> Result<u64> {
    let server = IpAddr::V4(Ipv4Addr::new(172, 16, 0, 2));
    let mut refused = 0;
    for port in ports.cycle().take(packets.into()) {
        match socket.send_to(&[], SocketAddr::new(server, port)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused += 1,
            Err(error) => return Err(error).context("cannot send"),
        }
    }
    Ok(refused)
}

/// Removes every entry.
pub(super) fn empty(netns: &Netns) -> Result<()> {
    let output = netns.command("conntrack").arg("-F").output()?;
    ensure!(
        output.status.success(),
        "conntrack -F: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
