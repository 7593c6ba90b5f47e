//! Entries killed to make room, victim by victim.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};

use crate::{
    net::{Fill, Flood, LanOptions, Netns},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::Watch,
};

/// A table of entries that nobody has answered.
pub static EVICTION: Scenario = Scenario {
    name: "eviction",
    about: "each entry that a new flow displaced is named once, as many as the kernel counted",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::Seconds,
    run,
};

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::limited_lan(machine, "evicted", &LanOptions::default())?;
    let fill = Fill {
        assured: false,
        ..Fill::default()
    };
    let filled = fill.to_the_limit(&lan.firewall)?;
    let before = occupants(&lan.firewall)?;
    let flood = Flood {
        flows: 20_000,
        packets: 20_000,
        ..Flood::default()
    };
    let watch = Watch::all_flows(machine)?;
    flood.send(&lan)?;
    let summary = watch.finish()?;
    let netns = lan.firewall.inode()?;

    // Packets that found nobody to evict were refused; the rest made entries.
    let refused = summary.total();
    summary.expect_drops("table_full", refused)?;
    ensure!(summary.kernel("drop") == refused, "{:?}", summary.kernel);
    ensure!(
        summary.kernel("early_drop") == summary.evicted,
        "{:?}",
        summary.kernel
    );
    println!(
        "{filled} entries, {} evicted, {refused} refused",
        summary.evicted
    );

    // Each flow of the flood has one packet, so nobody is evicted twice.
    let victims = summary.flows_of("evicted", netns)?;
    ensure!(
        victims.values().all(|&times| times == 1)
            && victims.len() as u64 <= summary.evicted
            && victims.len() as u64 + summary.tolerance() >= summary.evicted,
        "{} victims of {} evictions",
        victims.len(),
        summary.evicted
    );
    let victims: BTreeSet<String> = victims.into_keys().collect();
    let refused: BTreeSet<String> = summary.flows_of("table_full", netns)?.into_keys().collect();
    let flood = flood
        .flow_numbers()
        .map(|number| flood.tuple(number).to_string());
    let accepted = flood.filter(|flow| !refused.contains(flow));
    let were: BTreeSet<String> = before.into_iter().chain(accepted).collect();
    let are = occupants(&lan.firewall)?;
    let missing: BTreeSet<String> = were.difference(&are).cloned().collect();
    let not_missing = victims.difference(&missing).next();
    ensure!(
        not_missing.is_none(),
        "{} entries are missing, {} were named, among them {not_missing:?}, which is still there",
        missing.len(),
        victims.len(),
    );
    // Those of skipped programs aside: in the background `gc_worker` takes unassured
    // entries of a table 95 % full, and counts none
    // (`net/netfilter/nf_conntrack_core.c`, 4.12 and later).
    println!(
        "{} more went in the background",
        missing.len() - victims.len()
    );
    Ok(())
}

/// The original tuples in a table, as `conntrack -L` shows them.
pub(crate) fn occupants(netns: &Netns) -> Result<BTreeSet<String>> {
    let output = netns
        .command("conntrack")
        .args(["-L", "-p", "udp"])
        .output()
        .context("cannot run conntrack")?;
    ensure!(
        output.status.success(),
        "conntrack -L failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)?
        .lines()
        .map(occupant)
        .collect()
}

/// `udp 17 29 src=A dst=B sport=C dport=D …`, where the first of each name is
/// that of the original direction.
fn occupant(line: &str) -> Result<String> {
    let field = |name: &str| {
        line.split_whitespace()
            .find_map(|word| word.strip_prefix(name))
            .with_context(|| format!("conntrack -L printed no {name} in {line:?}"))
    };
    Ok(format!(
        "protocol 17 {}:{} > {}:{}",
        field("src=")?,
        field("sport=")?,
        field("dst=")?,
        field("dport=")?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_occupant_is_its_original_direction() {
        let line = "udp      17 86395 src=198.18.0.1 dst=192.0.2.1 sport=1024 dport=9 \
             [UNREPLIED] src=192.0.2.1 dst=198.18.0.1 sport=9 dport=1024 mark=0 use=1";
        assert_eq!(
            occupant(line).unwrap(),
            "protocol 17 198.18.0.1:1024 > 192.0.2.1:9"
        );
        assert!(occupant("tcp 6 src=1.2.3.4").is_err());
    }
}
