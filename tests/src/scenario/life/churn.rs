//! What ctdrop observes changes while it runs: namespaces come and go, and so do
//! processors.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::{
    net::{Family, Flood, LanOptions, LocalFlood},
    scenario::life::lifecycle::Loaded,
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::{Summary, Watch},
};

/// Namespaces that live shorter than a look at their counters takes.
pub static NETNS_CHURN: Scenario = Scenario {
    name: "netns_churn",
    about: "12 namespaces made, flooded and destroyed: every packet counted, none unexplained",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run: netns_churn,
};

/// The machine loses a processor, and gets it back.
pub static CPU_HOTPLUG: Scenario = Scenario {
    name: "cpu_hotplug",
    about: "a processor taken away and given back under flood: exact before, meanwhile and after",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run: cpu_hotplug,
};

fn netns_churn(machine: &Machine) -> Result<()> {
    const TIMES: u32 = 12;
    // Every flood has flows of its own, since the kernel gives the number of
    // a dead namespace to the next one.
    let flood = |number: u32| Flood {
        first_flow: number * 500,
        flows: 500,
        packets: 5_001,
        ..Flood::default()
    };
    let mut sent = BTreeMap::new();
    let quiet = setup::full_lan(machine, "quiet", &LanOptions::default())?;
    let watch = Watch::all_flows(machine)?;
    let before = flood(0);
    before.send(&quiet)?;
    sent.extend(setup::packets_by_flow(&before));
    for number in 1..=TIMES {
        let lan = setup::full_lan(machine, "churn", &LanOptions::default())?;
        flood(number).send(&lan)?;
        sent.extend(setup::packets_by_flow(&flood(number)));
        // Some are seen by a look, some are gone before.
        thread::sleep(Duration::from_millis(u64::from(number % 4) * 100));
    }
    let after = flood(TIMES + 1);
    after.send(&quiet)?;
    let mut here = setup::packets_by_flow(&before);
    here.extend(setup::packets_by_flow(&after));
    sent.extend(setup::packets_by_flow(&after));

    let summary = watch.finish()?;
    println!(
        "{} unchecked, the kernel's drop {}",
        summary.unchecked,
        summary.kernel("drop")
    );
    every_packet(&summary, sent.values().sum())?;
    ensure!(
        summary.kernel("drop") + summary.unchecked >= summary.total(),
        "{} checked and {} unchecked of {}",
        summary.kernel("drop"),
        summary.unchecked,
        summary.total()
    );
    summary.expect_flows("table_full", quiet.firewall.inode()?, &here)?;
    let mut seen = BTreeMap::new();
    for flow in &summary.flows {
        *seen.entry(flow.tuple()?.to_string()).or_default() += flow.packets;
    }
    summary.compare(&sent, &seen)
}

fn cpu_hotplug(machine: &Machine) -> Result<()> {
    const TIMES: u32 = 3;
    let lan = setup::full_lan(machine, "hotplug", &LanOptions::default())?;
    let loaded = Loaded::now()?;
    let watch = Watch::all_flows(machine)?;
    let received = |number: u32| Flood {
        first_flow: number * 1_000,
        flows: 1_000,
        packets: 50_001,
        ..Flood::default()
    };
    // These senders are bound to no processor.
    let local = LocalFlood {
        family: Family::V4,
        threads: 2,
        flows: 500,
        packets: 5_000,
    };
    received(0).send(&lan)?;
    let enough = AtomicBool::new(false);
    let refused = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut refused = 0;
            // Bounded, whatever becomes of the processor.
            for _ in 0..500 {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                refused += local.send(&lan.firewall)?.refused;
            }
            anyhow::Ok(refused)
        });
        let toggled = (0..TIMES).try_for_each(|_| {
            set_online(false)?;
            thread::sleep(Duration::from_millis(500));
            set_online(true)?;
            thread::sleep(Duration::from_millis(500));
            Ok(())
        });
        enough.store(true, Ordering::Relaxed);
        let refused = sender.join().map_err(|_| anyhow!("the sender panicked"))?;
        toggled.and(refused)
    })?;
    received(1).send(&lan)?;
    let summary = watch.finish()?;
    println!(
        "{refused} refused to local senders; missed {:?}",
        summary.missed
    );
    loaded.wait("a processor that came and went")?;

    let mut sent = setup::packets_by_flow(&received(0));
    sent.extend(setup::packets_by_flow(&received(1)));
    let rounds = refused / (u64::from(local.threads) * u64::from(local.packets));
    for thread in 0..local.threads {
        for flow in 0..local.flows {
            let each = u64::from(local.packets) / u64::from(local.flows) * rounds;
            sent.insert(local.tuple(thread, flow).to_string(), each);
        }
    }
    let total = sent.values().sum();
    every_packet(&summary, total)?;
    ensure!(
        summary.unchecked == 0 && summary.kernel("drop") == total,
        "{} unchecked, the kernel counted {} of {total}",
        summary.unchecked,
        summary.kernel("drop")
    );
    let seen = summary.flows_of("table_full", lan.firewall.inode()?)?;
    summary.compare(&sent, &seen)
}

/// Takes the second processor away or gives it back.
fn set_online(online: bool) -> Result<()> {
    let path = "/sys/devices/system/cpu/cpu1/online";
    fs::write(path, if online { "1" } else { "0" }).with_context(|| format!("cannot write {path}"))
}

/// Demands that all these packets were counted, for a full table, and that
/// nothing is unexplained. A packet whose program was skipped is known from the
/// counters, if its namespace lives until they are read.
fn every_packet(summary: &Summary, packets: u64) -> Result<()> {
    ensure!(
        summary.reconciled && summary.unexplained == 0,
        "{} unexplained: drops {:?}, kernel {:?}, missed {:?}",
        summary.unexplained,
        summary.drops,
        summary.kernel,
        summary.missed
    );
    let (total, other) = (summary.total(), summary.drops["other"]);
    ensure!(
        (packets.saturating_sub(summary.tolerance())..=packets).contains(&total)
            && summary.drops["table_full"] + other == total
            && other <= summary.tolerance(),
        "drops are {:?}, not {packets}; missed {:?}",
        summary.drops,
        summary.missed
    );
    Ok(())
}
