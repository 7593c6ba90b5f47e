//! Too few buckets, so that chains are too long: a higher limit would not help.

use anyhow::{Context as _, Result, ensure};

use super::common::{expect_action, files, number, take_back, watch};
use crate::{
    net::{Counters, Flood, Lan, LanOptions, chains},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// Given buckets.
pub static BUCKETS: Scenario = Scenario {
    name: "fix_buckets",
    about: "fix auto: chains that are too long get buckets, for good, and the limit stays",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: buckets,
};

/// The least there is.
const FEW: u64 = 512;

const LIMIT: u32 = 100_000;

const FLOOD: Flood = Flood {
    flows: 10_000,
    packets: 10_000,
    ..super::common::FLOOD
};

fn buckets(machine: &Machine) -> Result<()> {
    /// The first kernel that limits chains.
    const FIRST: (u32, u32) = (5, 15);
    if setup::kernel_version()? < FIRST {
        println!("skipped: kernels before 5.15 let chains grow");
        return Ok(());
    }
    setup::load_conntrack(machine)?;
    setup::set_conntrack("buckets", u32::try_from(FEW)?)?;
    setup::set_conntrack("max", LIMIT)?;
    let lan = Lan::create("buckets", &LanOptions::default())?;
    chains::saturate(&lan.firewall)?;
    let before = too_long(&lan)?;

    let mut watch = watch(machine, &["--fix", "auto"])?;
    FLOOD.send(&lan)?;
    let raised = watch.next_fix()?;
    expect_action(&raised, "raised")?;
    let given = number("buckets")?;
    ensure!(
        raised["reason"] == "chain_too_long"
            && raised["before"]["buckets"] == FEW
            && raised["after"]["buckets"] == given
            && given > FEW
            && number("max")? == u64::from(LIMIT),
        "{given} buckets, limit {}: {raised}",
        number("max")?
    );
    let kept = watch.next_fix()?;
    expect_action(&kept, "kept")?;
    ensure!(kept["incident"]["kind"] == "few_buckets", "{kept}");
    let written = files(&kept)?;
    let begins = written.iter().find_map(|(_, _, after)| {
        let (_, number) = after.trim_end().rsplit_once("hashsize=")?;
        number.parse::<u64>().ok()
    });
    ensure!(begins >= Some(given), "{written:?}");
    let lost = too_long(&lan)? - before;
    println!("{FEW} buckets became {given}, after {lost} packets");

    // There is room for others now.
    let other = Flood {
        first_flow: 20_000,
        ..FLOOD
    };
    other.send(&lan)?;
    let more = too_long(&lan)? - before - lost;
    ensure!(more == 0, "{more} more packets were lost");
    watch.finish()?.expect_drops("chain_too_long", lost)?;
    take_back(machine, kept["id"].as_str().context("no id")?)?;
    ensure!(number("buckets")? == FEW, "{} buckets", number("buckets")?);
    Ok(())
}

/// Entries refused for the length of their chain, so far.
fn too_long(lan: &Lan) -> Result<u64> {
    Ok(Counters::read(&lan.firewall)?.get("chainlength"))
}
