//! A full table, and packets of every kind against it.

use std::{collections::BTreeMap, time::SystemTime};

use anyhow::{Result, ensure};

use crate::{
    net::{Family, Flood, Lan, LanOptions, LocalFlood, Protocol},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::{Summary, Watch},
};

/// The first promise.
pub static TABLE_FULL: Scenario = Scenario {
    name: "table_full",
    about: "1,000,000 packets over 100,000 flows, each counted to the packet",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::EachBackend,
    once: false,
    takes: Takes::AMinute,
    run: |machine| {
        let flood = Flood {
            flows: 100_000,
            packets: 1_000_000,
            ..Flood::default()
        };
        let lan = setup::full_lan(machine, "full", &LanOptions::default())?;
        refuse(machine, &lan, &[flood]).map(drop)
    },
};

/// More flows than any table of ours has room for.
pub static MANY_FLOWS: Scenario = Scenario {
    name: "many_flows",
    about: "2,000,000 flows of one packet in under 128 MiB, none lost from the totals",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: false,
    takes: Takes::Minutes,
    run: many_flows,
};

/// Every protocol that has a key of its own.
pub static PROTOCOLS: Scenario = Scenario {
    name: "protocols",
    about: "UDP, TCP, ICMP, SCTP, GRE and an unknown protocol, over IPv4 and IPv6",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::EachBackend,
    once: false,
    takes: Takes::Seconds,
    run: protocols,
};

/// The limit is one number, compared with each namespace's own count.
pub static TWO_NAMESPACES: Scenario = Scenario {
    name: "two_namespaces",
    about: "two namespaces flooded at once, each with its own exact figures",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::EachBackend,
    once: false,
    takes: Takes::Seconds,
    run: two_namespaces,
};

/// Process context: the sender itself is told of each refusal.
pub static LOCAL: Scenario = Scenario {
    name: "local_senders",
    about: "local senders and received packets at once: refusals told to senders are counted",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::Seconds,
    run: local_senders,
};

/// Zones are part of a flow.
pub static ZONES: Scenario = Scenario {
    name: "zones",
    about: "refused flows carry the zone they would have been in",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::Seconds,
    run: zones,
};

fn many_flows(machine: &Machine) -> Result<()> {
    const MEMORY: u64 = 128 << 20;
    let flood = Flood {
        flows: 2_000_000,
        packets: 2_000_000,
        ..Flood::default()
    };
    let lan = setup::full_lan(machine, "many", &LanOptions::default())?;
    let watch = Watch::all_flows(machine)?;
    let sent = flood.send(&lan)?;
    println!("{:.0} packets/s", sent.rate());
    let summary = watch.finish()?;
    summary.expect_drops("table_full", sent.delivered)?;
    let kernel = summary.kernel("drop");
    ensure!(kernel == sent.delivered, "the kernel counted {kernel}");
    println!(
        "{} flows, {} unattributed, {} MiB",
        summary.flows.len(),
        summary.unattributed,
        summary.memory >> 20
    );
    ensure!(
        summary.memory < MEMORY,
        "ctdrop took {} bytes",
        summary.memory
    );
    ensure!(
        summary.flows.len() > 100_000,
        "only {} flows",
        summary.flows.len()
    );
    ensure!(
        summary.flows.iter().all(|flow| flow.packets == 1),
        "a flow had one packet"
    );
    Ok(())
}

fn protocols(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "protocols", &LanOptions::default())?;
    refuse(machine, &lan, &every_protocol()).map(drop)
}

/// A flood of each protocol over IPv4, and of each over IPv6.
pub(super) fn every_protocol() -> Vec<Flood> {
    [Family::V4, Family::V6]
        .into_iter()
        .flat_map(|family| {
            [
                Protocol::Udp,
                Protocol::TCP_SYN,
                Protocol::Echo,
                Protocol::Sctp,
                Protocol::Gre,
                Protocol::Other(253),
            ]
            .map(|protocol| Flood {
                protocol,
                family,
                flows: 1_000,
                packets: 10_001,
                ..Flood::default()
            })
        })
        .collect()
}

/// Sends floods against a full table and demands every flow's exact count.
fn refuse(machine: &Machine, lan: &Lan, floods: &[Flood]) -> Result<Summary> {
    let watch = Watch::all_flows(machine)?;
    let begin = now();
    let mut delivered = 0;
    let mut expected = BTreeMap::new();
    for flood in floods {
        let sent = flood.send(lan)?;
        println!(
            "{:?} {:?}: {:.0} packets/s",
            flood.protocol,
            flood.family,
            sent.rate()
        );
        delivered += sent.delivered;
        expected.extend(setup::packets_by_flow(flood));
    }
    let end = now();
    let summary = watch.finish()?;
    summary.expect_drops("table_full", delivered)?;
    let out_of_time = summary.flows.iter().find(|flow| {
        // RFC 3339 in UTC sorts as text.
        !(begin <= flow.first && flow.first <= flow.last && flow.last <= end)
    });
    ensure!(
        out_of_time.is_none(),
        "not between {begin} and {end}: {out_of_time:?}"
    );
    let kernel = summary.kernel("drop");
    ensure!(
        kernel == delivered,
        "the kernel counted {kernel}, not {delivered}"
    );
    ensure!(
        summary.unattributed <= summary.tolerance(),
        "{} unattributed",
        summary.unattributed
    );
    let netns = lan.firewall.inode()?;
    summary.expect_flows("table_full", netns, &expected)?;
    Ok(summary)
}

/// This moment, RFC 3339 in UTC.
fn now() -> String {
    humantime::format_rfc3339_micros(SystemTime::now()).to_string()
}

fn two_namespaces(machine: &Machine) -> Result<()> {
    let lans =
        ["first", "second"].map(|name| setup::full_lan(machine, name, &LanOptions::default()));
    let [first, second] = lans;
    let lans = [first?, second?];
    let floods = [(7_000, 150_000), (3_000, 90_000)].map(|(flows, packets)| Flood {
        flows,
        packets,
        ..Flood::default()
    });
    let watch = Watch::all_flows(machine)?;
    std::thread::scope(|scope| {
        let senders: Vec<_> = lans
            .iter()
            .zip(&floods)
            .map(|(lan, flood)| scope.spawn(|| flood.send(lan)))
            .collect();
        for sender in senders {
            sender
                .join()
                .map_err(|_| anyhow::anyhow!("a sender panicked"))??;
        }
        anyhow::Ok(())
    })?;
    let summary = watch.finish()?;
    summary.expect_drops("table_full", 240_000)?;
    for (lan, flood) in lans.iter().zip(&floods) {
        let expected = setup::packets_by_flow(flood);
        let netns = lan.firewall.inode()?;
        summary.expect_flows("table_full", netns, &expected)?;
        summary.expect_lost_in(netns, flood.packets)?;
        let named = summary
            .flows
            .iter()
            .filter(|flow| flow.netns == netns)
            .all(|flow| flow.netns_name == lan.firewall.name());
        ensure!(
            named,
            "flows of {} are not shown by its name",
            lan.firewall.name()
        );
    }
    Ok(())
}

fn local_senders(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "local", &LanOptions::default())?;
    let local = LocalFlood {
        family: Family::V4,
        threads: 2,
        flows: 500,
        packets: 50_000,
    };
    let watch = Watch::all_flows(machine)?;
    let alone = local.send(&lan.firewall)?;
    ensure!(
        alone.refused == alone.packets,
        "not all were refused: {alone:?}"
    );
    let received = Flood {
        flows: 1_000,
        packets: 100_000,
        ..Flood::default()
    };
    let (together, sent) = std::thread::scope(|scope| {
        let local = scope.spawn(|| local.send(&lan.firewall));
        let sent = received.send(&lan);
        (local.join(), sent)
    });
    let together = together.map_err(|_| anyhow::anyhow!("the senders panicked"))??;
    let refused = alone.refused + together.refused + sent?.delivered;
    let summary = watch.finish()?;
    summary.expect_reconciled()?;
    println!(
        "{} unattributed, missed {:?}",
        summary.unattributed, summary.missed
    );
    ensure!(
        summary.total() == refused && summary.kernel("drop") == refused,
        "{} counted, {} by the kernel, {refused} refused",
        summary.total(),
        summary.kernel("drop")
    );
    let missed: u64 = summary.missed.values().sum();
    ensure!(
        summary.unattributed <= missed,
        "{} without a flow, but only {missed} runs were skipped",
        summary.unattributed
    );
    ensure!(
        summary.drops["no_memory"] == 0,
        "a full table is no lack of memory"
    );
    Ok(())
}

fn zones(machine: &Machine) -> Result<()> {
    let options = LanOptions {
        zone: Some(77),
        ..LanOptions::default()
    };
    let lan = setup::full_lan(machine, "zones", &options)?;
    let flood = Flood {
        flows: 100,
        packets: 1_000,
        ..Flood::default()
    };
    let summary = refuse(machine, &lan, &[flood])?;
    ensure!(
        summary.flows.iter().all(|flow| flow.zone == 77),
        "flows are not in zone 77: {:?}",
        summary.flows.first()
    );
    Ok(())
}
