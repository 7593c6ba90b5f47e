//! Who sent a packet: the process, if it was one of this host, else nobody.

use std::{fs, process, thread};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::{
    net::{Family, Flood, LanOptions, LocalFlood},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::Watch,
};

/// Local and received packets at once.
pub static SENDERS: Scenario = Scenario {
    name: "senders",
    about: "local packets carry the process that sent them and its unit, received ones nobody",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::AMinute,
    run,
};

/// A control group as systemd names one.
const UNIT: &str = "mail.service";

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "senders", &LanOptions::default())?;
    if machine.guest {
        enter(&format!("/{UNIT}"))?;
    }
    let local = LocalFlood {
        family: Family::V4,
        threads: 2,
        flows: 500,
        packets: 50_000,
    };
    let received = Flood {
        flows: 1_000,
        packets: 100_000,
        ..Flood::default()
    };
    let watch = Watch::all_flows(machine)?;
    // At once, so that softirqs with received packets interrupt the senders.
    let (told, sent) = thread::scope(|scope| {
        let local = scope.spawn(|| local.send(&lan.firewall));
        let sent = received.send(&lan);
        (local.join(), sent)
    });
    let told = told.map_err(|_| anyhow!("the senders panicked"))??;
    let sent = sent?;
    let summary = watch.finish()?;
    if machine.guest {
        enter("")?;
    }
    summary.expect_drops("table_full", told.refused + sent.delivered)?;

    let me = fs::read_to_string("/proc/self/comm")?;
    let (mine, others): (Vec<_>, Vec<_>) =
        summary.flows.iter().partition(|flow| flow.sender.is_some());
    for flow in &mine {
        let sender = flow.sender.as_ref().context("has one")?;
        ensure!(
            sender.pid == process::id() && sender.comm.as_deref() == Some(me.trim_end()),
            "sent by {sender:?}, not by {me}"
        );
        ensure!(
            !machine.guest || sender.unit.as_deref() == Some(UNIT),
            "sent from {sender:?}, not from {UNIT}"
        );
    }
    let local: u64 = mine.iter().map(|flow| flow.packets).sum();
    let from_elsewhere: u64 = others.iter().map(|flow| flow.packets).sum();
    println!("{local} sent here, {from_elsewhere} received");
    ensure!(
        local + summary.unattributed >= told.refused && local <= told.refused,
        "{local} packets have a sender, {} were sent here",
        told.refused
    );
    ensure!(
        from_elsewhere + summary.unattributed >= sent.delivered && from_elsewhere <= sent.delivered,
        "{from_elsewhere} packets have no sender, {} were received",
        sent.delivered
    );
    Ok(())
}

/// Moves this process into a control group.
fn enter(group: &str) -> Result<()> {
    let directory = format!("/sys/fs/cgroup{group}");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {directory}"))?;
    fs::write(
        format!("{directory}/cgroup.procs"),
        process::id().to_string(),
    )
    .with_context(|| format!("cannot enter {directory}"))
}
