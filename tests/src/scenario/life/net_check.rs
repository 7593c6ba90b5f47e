//! What the other scenarios measure with: floods, clashes and chains do to
//! conntrack what they say, to the packet.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{
    net::{
        Counters, Family, Fill, Flood, Lan, LanOptions, LocalFlood, Protocol, Twins, ZoneClash,
        chains,
    },
    stage::{Auto, Backend, Machine, Scenario, Takes},
};

/// Runs only in guests: it changes the limit and the number of buckets.
pub static NET_CHECK: Scenario = Scenario {
    name: "net_check",
    about: "floods, clashes and chains do what they say, to the packet",
    backends: &[Backend::Fexit],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// Packets over each family that a full table has to refuse.
const PACKETS: u64 = 500_000;

/// Pairs of twins, and flows of a clash.
const FLOWS: u32 = 1_000;

fn run(_: &Machine) -> Result<()> {
    let loaded = Command::new("modprobe").arg("nf_conntrack").status();
    ensure!(loaded?.success(), "cannot load nf_conntrack");
    for family in [Family::V4, Family::V6] {
        full_table(family)?;
        twins(family)?;
        zone_clash(family)?;
        no_nat_port(family)?;
    }
    long_chains()
}

/// A full table refuses received packets and those of local senders.
fn full_table(family: Family) -> Result<()> {
    set_conntrack("max", 2_000)?;
    let lan = Lan::create("full", &LanOptions::default())?;
    Fill::default().to_the_limit(&lan.firewall)?;
    let flood = Flood {
        family,
        flows: 50_000,
        packets: PACKETS,
        ..Flood::default()
    };
    let before = Counters::read(&lan.firewall)?;
    let sent = flood.send(&lan)?;
    println!(
        "full table, {family:?}: {} packets, {:.0} packets/s",
        sent.delivered,
        sent.rate()
    );
    expect(&lan, &before, &[("drop", PACKETS)])?;

    let before = Counters::read(&lan.firewall)?;
    let local = LocalFlood {
        family,
        threads: 4,
        flows: 1_000,
        packets: 10_000,
    };
    let sent = local.send(&lan.firewall)?;
    println!("full table, local senders, {family:?}: {sent:?}");
    ensure!(
        sent.refused == sent.packets,
        "not all were refused: {sent:?}"
    );
    expect(&lan, &before, &[("drop", sent.refused)])
}

/// Each pair of TCP twins loses one packet; UDP twins lose none.
fn twins(family: Family) -> Result<()> {
    set_conntrack("max", 20_000)?;
    let lan = Lan::create("twins", &LanOptions::default())?;
    let pairs = u64::from(FLOWS);
    for (protocol, counters) in [
        (
            Protocol::TCP_SYN,
            &[("drop", pairs), ("insert_failed", pairs)][..],
        ),
        (Protocol::Udp, &[("clashres", pairs)]),
    ] {
        let before = Counters::read(&lan.firewall)?;
        let flows = Flood {
            protocol,
            family,
            flows: FLOWS,
            ..Flood::default()
        };
        Twins { flows }.provoke(&lan)?;
        expect(&lan, &before, counters)?;
    }
    Ok(())
}

/// Every packet of a flow whose replies belong to another one is refused.
fn zone_clash(family: Family) -> Result<()> {
    let lan = Lan::create("zones", &LanOptions::default())?;
    let flood = Flood {
        protocol: Protocol::TCP_SYN,
        family,
        flows: FLOWS,
        packets: 50_000,
        ..Flood::default()
    };
    let before = Counters::read(&lan.firewall)?;
    let sent = ZoneClash { flood }.provoke(&lan)?;
    println!("clash by zone, {family:?}: {:.0} packets/s", sent.rate());
    let refused = flood.packets;
    expect(
        &lan,
        &before,
        &[("drop", refused), ("insert_failed", refused)],
    )
}

/// Every packet of a flow that finds no free source port is refused.
fn no_nat_port(family: Family) -> Result<()> {
    let options = LanOptions {
        zone: None,
        masquerade: Some(2_000..=2_009),
    };
    let lan = Lan::create("nat", &options)?;
    let first = Flood {
        family,
        flows: 10,
        // The kernel tries a limited number of ports for each packet, so a
        // flow may need more than one to find a free port.
        packets: 500,
        ..Flood::default()
    };
    first.send(&lan)?;
    let entries = lan.firewall.entries()?;
    ensure!(entries == 10, "{entries} of 10 ports are taken");
    let flood = Flood {
        first_flow: 10,
        flows: FLOWS,
        packets: 5_000,
        ..first
    };
    let before = Counters::read(&lan.firewall)?;
    let refused = flood.send(&lan)?.delivered;
    expect(
        &lan,
        &before,
        &[("drop", refused), ("insert_failed", refused)],
    )
}

/// With all chains too long, whatever is not inserted is refused for that.
fn long_chains() -> Result<()> {
    set_conntrack("buckets", 512)?;
    set_conntrack("max", 65_536)?;
    let lan = Lan::create("chains", &LanOptions::default())?;
    println!("chains: {:?}", chains::saturate(&lan.firewall)?);
    let (before, entries) = (Counters::read(&lan.firewall)?, lan.firewall.entries()?);
    let flood = Flood {
        flows: 20_000,
        packets: 20_000,
        ..Flood::default()
    };
    let sent = flood.send(&lan)?;
    let inserted = lan.firewall.entries()? - entries;
    println!("long chains: {inserted} of {sent:?} were inserted");
    let refused = sent.delivered - inserted;
    ensure!(refused > 19_000, "only {refused} packets were refused");
    expect(
        &lan,
        &before,
        &[("chainlength", refused), ("insert_failed", refused)],
    )
}

/// Demands that exactly these counters have moved so far.
fn expect(lan: &Lan, before: &Counters, counters: &[(&str, u64)]) -> Result<()> {
    let mut moved = Counters::read(&lan.firewall)?
        .since(before)
        .nonzero()
        .into_map();
    // Lookups for a NAT port that found it taken, and lookups done again
    // because the table changed meanwhile.
    moved.remove("found");
    moved.remove("search_restart");
    let expected: BTreeMap<String, u64> = counters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect();
    ensure!(
        moved == expected,
        "counters moved by {moved:?}, not {expected:?}"
    );
    Ok(())
}

/// Sets a sysctl of conntrack for all namespaces.
fn set_conntrack(name: &str, value: u32) -> Result<()> {
    let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
    fs::write(&path, value.to_string()).with_context(|| format!("cannot write {value} to {path}"))
}
