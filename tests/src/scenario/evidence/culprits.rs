//! Four incidents at the same time, each in a namespace of its own: what is recorded of
//! each is why packets were refused, who filled the table, and the kernel's own count.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    net::{Conntrack, Counters, Flood, Lan, LanOptions, Netns, Protocol, Twins, refused_locally},
    record::{Daemon, said},
    scenario::staged::{LEAKING, TRACK, honest, leak},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// An undersized table, a leak, a flood, and races.
pub static CULPRITS: Scenario = Scenario {
    name: "culprits",
    about: "daemon: undersized, leak, spoofed flood and races are told apart, exact to the packet",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run,
};

/// The limit, for each namespace.
const LIMIT: u32 = 1000;

/// A leak is told within so much time from the first refused packet.
const TOLD_WITHIN: Duration = Duration::from_mins(1);

/// One of the namespaces in which something is staged.
struct Place<'a> {
    netns: &'a Netns,
    /// The kernel's counters before.
    before: Counters,
    kind: &'static str,
    /// What its first culprit is called by.
    culprit: Option<String>,
}

fn run(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    setup::set_conntrack("max", LIMIT)?;
    let host = Netns::of_host()?;
    host.nft(TRACK)?;
    let lan = |name| Lan::create(name, &LanOptions::default());
    let (leaking, flooded, racing, calm) =
        (lan("leak")?, lan("spoofed")?, lan("races")?, lan("calm")?);
    let server = Lan::server(Flood::default().family);
    let place = |netns, kind, culprit| {
        Ok::<_, anyhow::Error>(Place {
            netns,
            before: Counters::read(netns)?,
            kind,
            culprit,
        })
    };
    let places = [
        place(&host, "undersized", None)?,
        place(&leaking.firewall, "leak", Some(LEAKING.to_string()))?,
        place(&flooded.firewall, "spoofed_flood", Some(server.to_string()))?,
        place(&racing.firewall, "clash", None)?,
    ];
    let directory = tempfile::tempdir()?;
    let daemon = Daemon::start(machine, directory.path(), &[])?;
    // Beside it all, somebody who does nothing wrong.
    few(&calm, 50)?;

    let leaked = leak_is_told(&daemon, &leaking)?;
    println!("the leak was told after {:.1} s", leaked.as_secs_f64());
    flood(&flooded)?;
    told(&daemon, &flooded.firewall, "spoofed_flood")?;
    // At once: forged flows live for 30 s, and a slow guest takes longer for the rest.
    demand(&who(machine, &flooded.firewall)?, &places[2]).context("who")?;
    Conntrack::open(&host)?.insert(honest())?;
    refused_locally(&host)?;
    told(&daemon, &host, "undersized")?;
    races(&racing, 0)?;
    told(&daemon, &racing.firewall, "clash")?;
    few(&calm, 60)?;

    for place in &places[..2] {
        let who = who(machine, place.netns)?;
        demand(&who, place).context("who")?;
    }
    let who = who_beside_races(machine, &racing)?;
    demand(&who, &places[3]).context("who")?;
    daemon.finish()?;
    recorded(machine, directory.path(), &places)
}

/// Packets of some flows that find room.
fn few(lan: &Lan, flows: u32) -> Result<()> {
    Flood {
        flows,
        packets: u64::from(flows) * 3,
        ..Flood::default()
    }
    .send(lan)
    .map(drop)
}

/// A table that leaks, and packets that find no room; how long it took until that was
/// told.
fn leak_is_told(daemon: &Daemon, lan: &Lan) -> Result<Duration> {
    Conntrack::open(&lan.firewall)?.insert(leak())?;
    let start = Instant::now();
    Flood {
        flows: 100,
        packets: 1000,
        ..Flood::default()
    }
    .send(lan)?;
    told(daemon, &lan.firewall, "leak")?;
    let took = start.elapsed();
    ensure!(took < TOLD_WITHIN, "the leak was told after {took:?}");
    Ok(took)
}

/// More forged flows than the table has room for, among those of a client.
fn flood(lan: &Lan) -> Result<()> {
    few(lan, 40)?;
    Flood {
        first_flow: 1000,
        flows: 5000,
        packets: 5000,
        spoofed: true,
        ..Flood::default()
    }
    .send(lan)
    .map(drop)
}

/// Pairs of packets of which the second one loses a race.
fn races(lan: &Lan, first_flow: u32) -> Result<()> {
    Twins {
        flows: Flood {
            protocol: Protocol::TCP_SYN,
            first_flow,
            flows: 30,
            ..Flood::default()
        },
    }
    .provoke(lan)
    .map(drop)
}

/// What `who` says of a table with room while packets lose races: it looks for a second,
/// and here they come in rounds.
fn who_beside_races(machine: &Machine, lan: &Lan) -> Result<Value> {
    const LOOKS: usize = 20;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let losing = scope.spawn(|| {
            let mut round = 1;
            while !done.load(Ordering::Relaxed) {
                races(lan, round * 100)?;
                round += 1;
            }
            Ok::<_, anyhow::Error>(())
        });
        let looks = || {
            for _ in 1..LOOKS {
                let diagnosis = who(machine, &lan.firewall)?;
                if diagnosis["kind"] != "none" {
                    return Ok(diagnosis);
                }
            }
            who(machine, &lan.firewall)
        };
        let diagnosis = looks();
        done.store(true, Ordering::Relaxed);
        losing
            .join()
            .map_err(|_| anyhow::anyhow!("the thread with the races panicked"))??;
        diagnosis
    })
}

/// Waits until the daemon says what an incident is.
fn told(daemon: &Daemon, netns: &Netns, kind: &str) -> Result<Value> {
    daemon.next(&format!("{} has a {kind}", netns.name()), |line| {
        line["type"] == "incident"
            && line["netns_name"] == netns.name()
            && line["diagnosis"]["kind"] == kind
    })
}

/// What `who` says of a table.
fn who(machine: &Machine, netns: &Netns) -> Result<Value> {
    let output = std::process::Command::new(&machine.ctdrop)
        .args(["who", "-o", "json", "--netns", netns.name()])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().next().context("who says nothing")?;
    let mut report: Value = serde_json::from_str(line)?;
    Ok(report["incident"].take())
}

/// Demands kind and culprit of a diagnosis.
fn demand(diagnosis: &Value, place: &Place<'_>) -> Result<()> {
    ensure!(
        diagnosis["kind"] == place.kind,
        "not {}: {diagnosis}",
        place.kind
    );
    let culprit = &diagnosis["culprit"];
    let address = [&culprit["source"], &culprit["service"]]
        .into_iter()
        .find_map(|it| it["address"].as_str());
    ensure!(
        address == place.culprit.as_deref(),
        "not {:?}: {diagnosis}",
        place.culprit
    );
    Ok(())
}

/// Demands of what was recorded that it is these incidents and the kernel's counts.
fn recorded(machine: &Machine, directory: &Path, places: &[Place<'_>]) -> Result<()> {
    let evidence = crate::record::Database::of(directory)?;
    evidence.demand_integrity()?;
    let incidents = said(machine, directory, &["incidents", "-o", "json"])?;
    ensure!(incidents.len() == places.len(), "{incidents:?}");
    for place in places {
        let name = place.netns.name();
        let mut all = incidents.iter();
        let incident = all
            .find(|incident| incident["netns_name"] == name)
            .with_context(|| format!("no incident in {name}: {incidents:?}"))?;
        demand(&incident["diagnosis"], place).with_context(|| name.to_owned())?;
        let dropped = Counters::read(place.netns)?
            .since(&place.before)
            .get("drop");
        ensure!(dropped > 0, "nothing was refused in {name}");
        ensure!(
            incident["refused"] == dropped && evidence.refused_in(name)? == dropped,
            "the kernel has dropped {dropped}: {incident}, {} in intervals",
            evidence.refused_in(name)?
        );
        let report = report(machine, directory, &incident["incident"])?;
        let named = report["culprit"].as_str().unwrap_or_default();
        ensure!(
            report["kind"] == place.kind
                && report["refused"] == dropped
                && named.contains(place.culprit.as_deref().unwrap_or_default()),
            "the kernel has dropped {dropped}, not as in the report: {report}"
        );
        println!(
            "{name}: {} packets, {}, {}",
            dropped, incident["kind"], incident["culprit"]
        );
    }
    Ok(())
}

/// What `report` says of an incident.
fn report(machine: &Machine, directory: &Path, id: &Value) -> Result<Value> {
    let id = id.to_string();
    let said = said(machine, directory, &["report", &id, "--format", "json"])?;
    let mut report = said.into_iter().next().context("report says nothing")?;
    Ok(report["incidents"][0].take())
}
