//! A rule drops packets where the tracepoint sees refused ones.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};

use super::common::{FLOOD, FULL, RAISED, drops, expect_action, number, watch};
use crate::{
    net::{Fill, Flood, LanOptions},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// Left to the rule, then raised.
pub static RULES: Scenario = Scenario {
    name: "fix_rules",
    about: "fix auto on the tracepoint: nothing is raised for what a rule drops in a table with room",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: rules,
};

/// Before conntrack sees a packet.
const DROP: &str = "table inet early {
    chain early {
        type filter hook prerouting priority raw;
        udp dport 9 drop;
    }
}";

fn rules(machine: &Machine) -> Result<()> {
    let Some(machine) = &setup::with_the_tracepoint(machine)? else {
        return Ok(());
    };
    let lan = setup::limited_lan(machine, "rules", &LanOptions::default())?;
    let mut watch = watch(machine, &["--fix", "auto"])?;
    lan.firewall.nft(DROP)?;
    let dropped = FLOOD.send(&lan)?;
    // Longer than it takes to drain, and to look at the counters.
    thread::sleep(Duration::from_secs(3));
    ensure!(drops(&lan)? == 0, "the rule has let packets through");
    ensure!(number("max")? == FULL, "the limit is {}", number("max")?);

    lan.firewall.nft("delete table inet early")?;
    Fill::default().to_the_limit(&lan.firewall)?;
    Flood {
        first_flow: 10_000,
        ..FLOOD
    }
    .send(&lan)?;
    let raised = watch.next_fix()?;
    expect_action(&raised, "raised")?;
    ensure!(raised["after"]["max"] == RAISED, "{raised}");
    let before = drops(&lan)?;
    let counted = watch.finish()?.total();
    ensure!(
        counted == before,
        "{counted} counted as refused, {before} by the kernel, of {} that the rule dropped",
        dropped.delivered
    );
    Ok(())
}
