//! `cargo xtask demo`: an incident, made on purpose.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::{
    net::{Family, Flood, Lan, LanOptions, LocalFlood, Protocol},
    stage::{
        Auto, Backend, Machine, Scenario,
        console::{SHOW_BEGIN, SHOW_END},
        kernel_log, setup,
    },
};

/// Fills a table, floods it, and lets `ctdrop watch` name the flows.
pub static DEMO: Scenario = Scenario {
    name: "demo",
    about: "a full table under flood, as an operator sees it with ctdrop watch",
    backends: &[Backend::Fexit],
    alone: true,
    auto: Auto::No,
    once: false,
    run,
};

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "demo", &LanOptions::default())?;
    println!("{SHOW_BEGIN}");
    println!("# the table of namespace demo-firewall is full; new flows arrive");
    println!("$ ctdrop watch --interval 2s --duration 6s --top 8");
    let mut watch = Command::new(&machine.ctdrop)
        .args(["watch", "--interval", "2s", "--duration", "6s"])
        .args(["--top", "8"])
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", machine.ctdrop.display()))?;
    let output = watch.stdout.take().context("the output of ctdrop")?;
    let mut lines = BufReader::new(output).lines();
    // The first line comes when the programs are attached.
    if let Some(header) = lines.next() {
        println!("{}", header?);
    }
    let arrived = thread::scope(|scope| {
        let incident = scope.spawn(|| incident(&lan));
        for line in lines {
            println!("{}", line?);
        }
        incident
            .join()
            .map_err(|_| anyhow!("the incident panicked"))?
    });
    let status = watch.wait()?;
    let log = kernel_log()?;
    let lines = log
        .lines()
        .filter(|line| line.contains("table full"))
        .count();
    println!();
    println!("# meanwhile the kernel's log had {lines} lines about it, and named no flow");
    println!("{SHOW_END}");
    arrived?;
    ensure!(status.success(), "ctdrop watch failed");
    Ok(())
}

/// A name server's clients, a scan, and the firewall's own resolver, over some
/// seconds.
fn incident(lan: &Lan) -> Result<()> {
    let clients = Flood {
        flows: 40,
        packets: 2_000,
        destination_port: 53,
        ..Flood::default()
    };
    let scan = Flood {
        protocol: Protocol::TCP_SYN,
        family: Family::V6,
        flows: 3_000,
        packets: 3_000,
        destination_port: 22,
        ..Flood::default()
    };
    let own = LocalFlood {
        family: Family::V4,
        threads: 1,
        flows: 2,
        packets: 200,
    };
    for _ in 0..5 {
        clients.send(lan)?;
        scan.send(lan)?;
        own.send(&lan.firewall)?;
        thread::sleep(std::time::Duration::from_millis(800));
    }
    Ok(())
}
