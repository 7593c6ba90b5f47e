//! The last backend: the kernel's counters and its log, without any program.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    net::{Flood, Lan, LanOptions, Protocol, Twins, chains},
    scenario::refusal::{confirm::refuse_entries, table_full::every_protocol},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::{Range, Summary, Watch},
};

/// The first promise, without flows.
pub static TABLE_FULL: Scenario = Scenario {
    name: "counters_table_full",
    about: "counters alone: 1,000,000 packets, each counted, none with a flow",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: |machine| {
        let flood = Flood {
            flows: 100_000,
            packets: 1_000_000,
            ..Flood::default()
        };
        refuse(machine, "counted", &[flood])
    },
};

/// Whatever the protocol.
pub static PROTOCOLS: Scenario = Scenario {
    name: "counters_protocols",
    about: "counters alone: every protocol over IPv4 and IPv6 is in the totals",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: protocols,
};

/// Each namespace has its own counters.
pub static TWO_NAMESPACES: Scenario = Scenario {
    name: "counters_namespaces",
    about: "counters alone: two namespaces flooded at once among many, each with its own total",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: namespaces,
};

/// What one packet does to two counters.
pub static CLASH: Scenario = Scenario {
    name: "counters_clash",
    about: "counters alone: clashes are no full table, and lie within the bounds",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: clash,
};

/// What moves a counter of its own, or none.
pub static REFUSALS: Scenario = Scenario {
    name: "counters_refusals",
    about: "counters alone: long chains are told, and entries that no packet wanted are no loss",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: refusals,
};

/// Told to use the last backend.
fn on_counters(machine: &Machine) -> Machine {
    Machine {
        backend: Backend::Counters,
        forced: true,
        auto: false,
        ..machine.clone()
    }
}

/// In so long the kernel says something again, whatever it has kept back before
/// (`net_ratelimit_state`, `net/core/utils.c`: ten messages in five seconds).
const SILENCE: Duration = Duration::from_millis(5_100);

fn refuse(machine: &Machine, name: &str, floods: &[Flood]) -> Result<()> {
    let lan = setup::full_lan(machine, name, &LanOptions::default())?;
    thread::sleep(SILENCE);
    let watch = Watch::all_flows(&on_counters(machine))?;
    let mut delivered = 0;
    for flood in floods {
        delivered += flood.send(&lan)?.delivered;
    }
    let summary = watch.finish()?;
    exactly(&summary, delivered)?;
    summary.expect_lost_in(lan.firewall.inode()?, delivered)?;
    let log = summary.log.context("root may read the kernel log")?;
    ensure!(log.lines > 0, "the kernel logged nothing: {log:?}");
    println!("{delivered} packets, {log:?}");
    Ok(())
}

fn protocols(machine: &Machine) -> Result<()> {
    refuse(machine, "protocols", &every_protocol())
}

fn namespaces(machine: &Machine) -> Result<()> {
    /// Namespaces in which nothing happens.
    const IDLE: usize = 5;
    let lan = |name: &str| setup::full_lan(machine, name, &LanOptions::default());
    let (first, second) = (lan("first")?, lan("second")?);
    let idle = (0..IDLE)
        .map(|number| setup::limited_lan(machine, &format!("idle{number}"), &LanOptions::default()))
        .collect::<Result<Vec<_>>>()?;
    let [many, few] = [150_000, 90_000].map(|packets| Flood {
        flows: 5_000,
        packets,
        ..Flood::default()
    });
    let watch = Watch::all_flows(&on_counters(machine))?;
    thread::scope(|scope| {
        let other = scope.spawn(|| few.send(&second));
        many.send(&first)?;
        other
            .join()
            .map_err(|_| anyhow::anyhow!("a sender panicked"))?
    })?;
    let summary = watch.finish()?;
    exactly(&summary, many.packets + few.packets)?;
    summary.expect_lost_in(first.firewall.inode()?, many.packets)?;
    summary.expect_lost_in(second.firewall.inode()?, few.packets)?;
    for lan in &idle {
        summary.expect_lost_in(lan.firewall.inode()?, 0)?;
    }
    Ok(())
}

fn clash(machine: &Machine) -> Result<()> {
    const PAIRS: u32 = 500;
    setup::load_conntrack(machine)?;
    if machine.guest {
        setup::set_conntrack("max", 20_000)?;
    }
    let lan = Lan::create("clash", &LanOptions::default())?;
    let twins = |protocol| {
        let flows = Flood {
            protocol,
            flows: PAIRS,
            ..Flood::default()
        };
        let watch = Watch::all_flows(&on_counters(machine))?;
        Twins { flows }.provoke(&lan)?;
        watch.finish()
    };
    let lost = u64::from(PAIRS);
    let summary = twins(Protocol::TCP_SYN)?;
    summary.expect_drops("other", lost)?;
    let between = summary.drops_range.context("a range")?;
    ensure!(
        between.at_least == lost && (lost..=2 * lost).contains(&between.at_most),
        "{lost} lost, not surely {between:?}"
    );
    let summary = twins(Protocol::Udp)?;
    summary.expect_only_merges(lost)?;
    surely(&summary, 0)
}

fn refusals(machine: &Machine) -> Result<()> {
    /// The first kernel that limits chains.
    const FIRST: (u32, u32) = (5, 15);
    let lan = setup::full_lan(machine, "ctnetlink", &LanOptions::default())?;
    let watch = Watch::all_flows(&on_counters(machine))?;
    refuse_entries(&lan)?;
    let summary = watch.finish()?;
    summary.expect_no_drops()?;
    surely(&summary, 0)?;
    let log = summary.log.context("root may read the kernel log")?;
    ensure!(
        log.lines > 0,
        "the kernel logs entries like packets: {log:?}"
    );

    if setup::kernel_version()? < FIRST {
        println!("kernels before 5.15 let chains grow");
        return Ok(());
    }
    setup::set_conntrack("buckets", 512)?;
    setup::set_conntrack("max", 100_000)?;
    let lan = Lan::create("chains", &LanOptions::default())?;
    let watch = Watch::all_flows(&on_counters(machine))?;
    let inserted = chains::saturate(&lan.firewall)?;
    let summary = watch.finish()?;
    summary.expect_only_non_packets(inserted.refused.values().sum())?;
    surely(&summary, 0)?;
    let flood = Flood {
        flows: 10_000,
        packets: 10_000,
        ..Flood::default()
    };
    let before = lan.firewall.entries()?;
    let watch = Watch::all_flows(&on_counters(machine))?;
    let sent = flood.send(&lan)?;
    let refused = sent.delivered - (lan.firewall.entries()? - before);
    let summary = watch.finish()?;
    summary.expect_drops("chain_too_long", refused)?;
    surely(&summary, refused)
}

/// Demands so many packets for a full table, and that nothing is open.
fn exactly(summary: &Summary, packets: u64) -> Result<()> {
    summary.expect_drops("table_full", packets)?;
    let kernel = summary.kernel("drop");
    ensure!(
        kernel == packets && summary.unattributed == packets && summary.flows.is_empty(),
        "{packets} packets: the kernel counted {kernel}, {} have no flow, and {} flows are named",
        summary.unattributed,
        summary.flows.len()
    );
    surely(summary, packets)
}

fn surely(summary: &Summary, packets: u64) -> Result<()> {
    let exact = Range {
        at_least: packets,
        at_most: packets,
    };
    ensure!(
        summary.drops_range == Some(exact),
        "{packets} lost, not {:?}",
        summary.drops_range
    );
    Ok(())
}
