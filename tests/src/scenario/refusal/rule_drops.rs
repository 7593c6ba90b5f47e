//! Packets that rules drop, where a refused packet is seen in the same place.

use std::{collections::BTreeMap, thread};

use anyhow::{Result, anyhow, ensure};

use crate::{
    net::{Family, Fill, Flood, Lan, LanOptions, Protocol},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::{Summary, Watch},
};

/// None of them is called refused.
pub static RULE_DROPS: Scenario = Scenario {
    name: "rule_drops",
    about: "the tracepoint calls no packet refused that a rule dropped, alone or in the same flood",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: rule_drops,
};

/// Before conntrack sees a packet, of some flows of a flood; and after it found one
/// invalid.
const RULES: &str = "table inet rules {
    chain early {
        type filter hook prerouting priority raw;
        udp sport 1024-1123 drop;
    }
    chain late {
        type filter hook forward priority filter;
        ct state invalid drop;
    }
}";

/// Flows whose source ports [`RULES`] drop.
const DROPPED: u32 = 100;

/// A flood that the rules drop a part of.
const MIXED: Flood = Flood {
    protocol: Protocol::Udp,
    family: Family::V4,
    first_flow: 0,
    flows: 500,
    packets: 50_000,
    destination_port: 53,
    spoofed: false,
};

/// No flag at all: no TCP that conntrack would track.
const INVALID: Flood = Flood {
    protocol: Protocol::Tcp { flags: 0 },
    flows: 100,
    packets: 3_000,
    ..MIXED
};

fn rule_drops(machine: &Machine) -> Result<()> {
    let Some(machine) = &setup::with_the_tracepoint(machine)? else {
        return Ok(());
    };
    alone(machine)?;
    together(machine)
}

/// A table with room: nothing is refused.
fn alone(machine: &Machine) -> Result<()> {
    let lan = setup::limited_lan(machine, "rules", &LanOptions::default())?;
    lan.firewall.nft(RULES)?;
    let watch = Watch::all_flows(machine)?;
    Flood {
        flows: DROPPED,
        ..MIXED
    }
    .send(&lan)?;
    INVALID.send(&lan)?;
    let summary = watch.finish()?;
    summary.expect_reconciled()?;
    ensure!(
        summary.total() == 0 && summary.flows.is_empty() && summary.kernel("drop") == 0,
        "nothing was refused, but: {summary:?}"
    );
    ensure!(summary.dropped_by_rule_or_refused == 0, "{summary:?}");
    Ok(())
}

/// Full tables in two namespaces that are flooded at once, and in one that is made
/// while ctdrop watches.
fn together(machine: &Machine) -> Result<()> {
    let first = full_with_rules(machine, "first")?;
    let second = full_with_rules(machine, "second")?;
    let watch = Watch::all_flows(machine)?;
    let late = full_with_rules(machine, "late")?;
    thread::scope(|scope| {
        let senders = [&first, &second, &late].map(|lan| {
            scope.spawn(move || {
                INVALID.send(lan)?;
                MIXED.send(lan)
            })
        });
        for sender in senders {
            sender.join().map_err(|_| anyhow!("a sender panicked"))??;
        }
        anyhow::Ok(())
    })?;
    let summary = watch.finish()?;
    let refused = refused_flows();
    for lan in [&first, &second] {
        summary.expect_flows("table_full", lan.firewall.inode()?, &refused)?;
        let undecided = summary.flows_of(UNDECIDED, lan.firewall.inode()?)?;
        ensure!(undecided.is_empty(), "{undecided:?}");
    }
    decided_but_for_the_first(&summary, &late, &refused)?;
    let all = 3 * refused.values().sum::<u64>();
    let counted = summary.total() + summary.dropped_by_rule_or_refused;
    ensure!(
        counted == all && summary.kernel("drop") == all,
        "{counted} counted, {} by the kernel, {all} refused",
        summary.kernel("drop")
    );
    summary.expect_reconciled()
}

/// The reason of packets that nothing decides.
const UNDECIDED: &str = "dropped_by_rule_or_refused";

/// In a namespace that ctdrop had not seen yet, the first packet on each CPU may be
/// undecided, if it was refused.
fn decided_but_for_the_first(
    summary: &Summary,
    lan: &Lan,
    refused: &BTreeMap<String, u64>,
) -> Result<()> {
    let netns = lan.firewall.inode()?;
    let mut flows = summary.flows_of("table_full", netns)?;
    let undecided = summary.flows_of(UNDECIDED, netns)?;
    let packets: u64 = undecided.values().sum();
    println!("{packets} undecided in a new namespace");
    ensure!(
        packets == summary.dropped_by_rule_or_refused
            && packets <= thread::available_parallelism()?.get() as u64,
        "{undecided:?}"
    );
    for (flow, packets) in undecided {
        *flows.entry(flow).or_default() += packets;
    }
    summary.compare(refused, &flows)
}

/// The flows of [`MIXED`] that conntrack sees, and those of [`INVALID`]: what is wrong
/// with a packet is looked at only when it has an entry (`nf_conntrack_in`,
/// `net/netfilter/nf_conntrack_core.c`, 5.18 to 7.3).
fn refused_flows() -> BTreeMap<String, u64> {
    let mixed = (DROPPED..MIXED.flows)
        .map(|number| (MIXED.tuple(number).to_string(), MIXED.packets_of(number)));
    mixed.chain(setup::packets_by_flow(&INVALID)).collect()
}

fn full_with_rules(machine: &Machine, name: &str) -> Result<Lan> {
    let lan = setup::limited_lan(machine, name, &LanOptions::default())?;
    lan.firewall.nft(RULES)?;
    Fill::default().to_the_limit(&lan.firewall)?;
    Ok(lan)
}
