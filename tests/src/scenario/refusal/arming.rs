//! At rest nothing is attached to what runs for each new flow; pressure changes
//! that, and calm changes it back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{
    net::{Fill, Flood, Lan, LanOptions},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::{Summary, Watch},
};

/// Twice through all phases.
pub static ARMING: Scenario = Scenario {
    name: "arming",
    about: "refused at rest, while it is armed, and after: exact in total, by flow once armed",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// Entries allowed in times of calm.
const ROOM: u32 = 20_000;

/// Entries allowed under pressure, as many as there are.
const FULL: u32 = 2_000;

fn run(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    setup::set_conntrack("max", FULL)?;
    let lan = Lan::create("arming", &LanOptions::default())?;
    Fill::default().to_the_limit(&lan.firewall)?;
    setup::set_conntrack("max", ROOM)?;
    let mut watch = Watch::start(
        machine,
        &["--arm", "auto", "--all-flows", "--interval", "10m"],
    )?;
    ensure!(watch.start.arm == "auto", "{:?}", watch.start);
    let mut delivered = 0;
    for round in 0..2 {
        // The first packets come before anybody has looked at the limit.
        setup::set_conntrack("max", FULL)?;
        delivered += flood(round).send(&lan)?.delivered;
        let event = watch.next_event()?;
        ensure!(event == "armed", "{event} under pressure");
        delivered += flood(round + 10).send(&lan)?.delivered;
        setup::set_conntrack("max", ROOM)?;
        let since = Instant::now();
        let event = watch.next_event()?;
        ensure!(event == "at_rest", "{event} in calm");
        ensure!(
            since.elapsed() > Duration::from_secs(8),
            "at rest after {:?}",
            since.elapsed()
        );
    }
    let summary = watch.finish()?;
    summary.expect_drops("table_full", delivered)?;
    let kernel = summary.kernel("drop");
    ensure!(kernel == delivered, "the kernel counted {kernel}");
    println!("{} of {delivered} without a flow", summary.unattributed);
    ensure!(
        // At most those that came before it was armed.
        (1..=delivered / 2).contains(&summary.unattributed),
        "{} of {delivered} were counted at rest",
        summary.unattributed
    );
    by_flow(&summary, &lan)
}

fn flood(number: u32) -> Flood {
    Flood {
        first_flow: number * 1_000,
        flows: 1_000,
        packets: 50_000,
        ..Flood::default()
    }
}

/// What was sent when it was armed has its flow to the packet; of the rest no
/// flow has more than was sent.
fn by_flow(summary: &Summary, lan: &Lan) -> Result<()> {
    let seen = summary.flows_of("table_full", lan.firewall.inode()?)?;
    let mut missing = 0;
    for round in 0..2 {
        for (flow, packets) in setup::packets_by_flow(&flood(round + 10)) {
            let counted = seen.get(&flow).copied().unwrap_or(0);
            missing += packets.saturating_sub(counted);
            ensure!(
                counted <= packets && missing <= summary.tolerance(),
                "{flow}: {counted} instead of {packets} while armed"
            );
        }
        for (flow, packets) in setup::packets_by_flow(&flood(round)) {
            let counted = seen.get(&flow).copied().unwrap_or(0);
            ensure!(counted <= packets, "{flow}: {counted} of {packets}");
        }
    }
    Ok(())
}
