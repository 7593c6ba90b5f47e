//! Flows refused when they are to be inserted: clashes, ports that ran out,
//! chains that are too long.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::{
    net::{Conntrack, Family, Fill, Flood, Lan, LanOptions, Protocol, Twins, ZoneClash, chains},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::{Summary, Watch},
};

/// A race that cannot be resolved.
pub static CLASH: Scenario = Scenario {
    name: "clash",
    about: "TCP twins and flows with one reply between them: the loser is named, to the packet",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::Seconds,
    run: clash,
};

/// The same, as far as the counters tell.
pub static CLASH_BY_COUNTERS: Scenario = Scenario {
    name: "clash_by_counters",
    about: "without programs in conntrack, clashes and merges are told by the counters alone",
    backends: &[Backend::Tracepoint],
    alone: false,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run: clash_by_counters,
};

/// A clash after NAT.
pub static NAT_EXHAUSTED: Scenario = Scenario {
    name: "nat_exhausted",
    about: "flows that find no free port are refused under a name of their own",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::AMinute,
    run: nat_exhausted,
};

/// Too few buckets.
pub static CHAIN_TOO_LONG: Scenario = Scenario {
    name: "chain_too_long",
    about: "too few buckets refuse packets that no `drop` counter shows",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::AMinute,
    run: chain_too_long,
};

/// Refusals that lose no packet.
pub static NON_PACKET: Scenario = Scenario {
    name: "non_packet",
    about: "entries that ctnetlink wanted and a full table refused are no drops",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::AMinute,
    run: non_packet,
};

const PAIRS: u32 = 500;

fn clash(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    setup::set_conntrack("max", 20_000)?;
    let lan = Lan::create("clash", &LanOptions::default())?;
    for family in [Family::V4, Family::V6] {
        let (summary, tuples) = twins(machine, &lan, Protocol::TCP_SYN, family)?;
        summary.expect_drops("clash", u64::from(PAIRS))?;
        counters(
            &summary,
            &[("drop", PAIRS.into()), ("insert_failed", PAIRS.into())],
        )?;
        let netns = lan.firewall.inode()?;
        summary.expect_flows("clash", netns, &tuples)?;

        let (summary, tuples) = twins(machine, &lan, Protocol::Udp, family)?;
        summary.expect_only_merges(PAIRS.into())?;
        summary.expect_flows("clash_resolved", netns, &tuples)?;
    }
    zone_clash(machine)
}

/// Every packet of every loser is refused, each by its own zone.
fn zone_clash(machine: &Machine) -> Result<()> {
    let lan = Lan::create("losers", &LanOptions::default())?;
    let flood = Flood {
        protocol: Protocol::TCP_SYN,
        flows: 400,
        packets: 20_002,
        ..Flood::default()
    };
    let watch = Watch::all_flows(machine)?;
    ZoneClash { flood }.provoke(&lan)?;
    let summary = watch.finish()?;
    summary.expect_drops("clash", flood.packets)?;
    let flows = setup::packets_by_flow(&flood);
    summary.expect_flows("clash", lan.firewall.inode()?, &flows)?;
    let zone = ZoneClash::LOSER;
    ensure!(
        summary.flows.iter().all(|flow| flow.zone == zone),
        "losers are in zone {zone}: {:?}",
        summary.flows.first()
    );
    Ok(())
}

fn clash_by_counters(machine: &Machine) -> Result<()> {
    let lan = Lan::create("clash", &LanOptions::default())?;
    let (summary, _) = twins(machine, &lan, Protocol::TCP_SYN, Family::V4)?;
    summary.expect_drops("clash", u64::from(PAIRS))?;
    ensure!(
        summary.unattributed == u64::from(PAIRS),
        "the tracepoint cannot know these flows"
    );
    let (summary, _) = twins(machine, &lan, Protocol::Udp, Family::V4)?;
    summary.expect_only_merges(PAIRS.into())
}

/// Lets pairs clash under watch; their tuples, one packet each.
fn twins(
    machine: &Machine,
    lan: &Lan,
    protocol: Protocol,
    family: Family,
) -> Result<(Summary, BTreeMap<String, u64>)> {
    let flows = Flood {
        protocol,
        family,
        flows: PAIRS,
        ..Flood::default()
    };
    let watch = Watch::all_flows(machine)?;
    let outcome = Twins { flows }.provoke(lan)?;
    let tuples = outcome
        .tuples
        .iter()
        .map(|tuple| (tuple.to_string(), 1))
        .collect();
    Ok((watch.finish()?, tuples))
}

fn nat_exhausted(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    let options = LanOptions {
        zone: None,
        masquerade: Some(2_000..=2_009),
    };
    let lan = Lan::create("nat", &options)?;
    let first = Flood {
        flows: 10,
        // The kernel tries a limited number of ports for each packet, so a
        // flow may need more than one to find a free one.
        packets: 500,
        ..Flood::default()
    };
    first.send(&lan)?;
    ensure!(lan.firewall.entries()? == 10, "not all ports are taken");
    let flood = Flood {
        first_flow: 10,
        flows: 100,
        packets: 5_005,
        ..Flood::default()
    };
    let watch = Watch::all_flows(machine)?;
    flood.send(&lan)?;
    let summary = watch.finish()?;
    summary.expect_drops("nat_exhausted", flood.packets)?;
    counters(
        &summary,
        &[("drop", flood.packets), ("insert_failed", flood.packets)],
    )?;
    let flows = setup::packets_by_flow(&flood);
    summary.expect_flows("nat_exhausted", lan.firewall.inode()?, &flows)
}

fn chain_too_long(machine: &Machine) -> Result<()> {
    /// The first kernel that limits chains.
    const FIRST: (u32, u32) = (5, 15);
    if setup::kernel_version()? < FIRST {
        println!("skipped: kernels before 5.15 let chains grow");
        return Ok(());
    }
    setup::load_conntrack(machine)?;
    setup::set_conntrack("buckets", 512)?;
    setup::set_conntrack("max", 100_000)?;
    let lan = Lan::create("chains", &LanOptions::default())?;
    let watch = Watch::all_flows(machine)?;
    let inserted = chains::saturate(&lan.firewall)?;
    let summary = watch.finish()?;
    summary.expect_only_non_packets(inserted.refused.values().sum())?;

    // A few flows find room all the same: each leaves an entry.
    let flood = Flood {
        flows: 10_000,
        packets: 10_000,
        ..Flood::default()
    };
    let before = lan.firewall.entries()?;
    let watch = Watch::all_flows(machine)?;
    let sent = flood.send(&lan)?;
    let accepted = lan.firewall.entries()? - before;
    let summary = watch.finish()?;
    let refused = sent.delivered - accepted;
    summary.expect_drops("chain_too_long", refused)?;
    counters(
        &summary,
        &[
            ("chain_too_long", refused),
            ("insert_failed", refused),
            ("drop", 0),
        ],
    )?;
    let flows = summary.flows_of("chain_too_long", lan.firewall.inode()?)?;
    // At rest nobody sees their flows.
    ensure!(
        flows.len() as u64 + summary.unattributed == refused
            && (machine.auto || summary.unattributed <= summary.tolerance()),
        "{} flows and {} without, {refused} packets",
        flows.len(),
        summary.unattributed
    );
    let sent = setup::packets_by_flow(&flood);
    for (flow, packets) in &flows {
        ensure!(
            sent.get(flow) == Some(packets),
            "{flow}: {packets} packets were not sent"
        );
    }
    println!("{accepted} of {} found room", flood.packets);
    Ok(())
}

fn non_packet(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "ctnetlink", &LanOptions::default())?;
    let watch = Watch::all_flows(machine)?;
    let refused = refuse_entries(&lan)?;
    let summary = watch.finish()?;
    summary.expect_only_non_packets(refused)?;
    counters(&summary, &[("drop", 0)])
}

/// Has ctnetlink ask a full table for more entries; how many it refused.
pub(super) fn refuse_entries(lan: &Lan) -> Result<u64> {
    const WANTED: u32 = 1_000;
    let limit = u32::try_from(lan.firewall.limit()?)?;
    let more = (limit + 10..limit + 10 + WANTED).map(|number| Fill::default().entry(number));
    let outcome = Conntrack::open(&lan.firewall)?.insert(more)?;
    let refused = u64::from(WANTED) - outcome.inserted;
    ensure!(refused > 0, "the table was not full");
    Ok(refused)
}

fn counters(summary: &Summary, expected: &[(&str, u64)]) -> Result<()> {
    for &(counter, grown) in expected {
        let kernel = summary.kernel(counter);
        ensure!(
            kernel == grown,
            "the kernel's {counter} grew by {kernel}, not by {grown}"
        );
    }
    Ok(())
}
