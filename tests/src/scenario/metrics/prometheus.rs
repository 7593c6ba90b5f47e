//! A real Prometheus scrapes the daemon while packets are refused: its counts are those of
//! the kernel, and the alert fires and clears.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::expressions;
use crate::{
    net::{Conntrack, Counters, Lan, LanOptions},
    record::Daemon,
    scenario::staged::under_load,
    scrape::{self, prometheus::Prometheus, refused_in},
    stage::{Auto, Backend, Extent, Machine, Scenario, Takes, setup},
};

/// From the first refused packet to the end of the alert.
pub static PROMETHEUS: Scenario = Scenario {
    name: "prometheus",
    about: "daemon: a real Prometheus has the kernel's counts, all expressions of rules and \
            dashboard have values, and the alert fires and clears",
    backends: Backend::ALL,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::AMinute,
    run,
};

/// The rules that packages bring.
const RULES: &str = include_str!("../../../../packaging/prometheus/ctdrop.rules.yml");

/// The alert on refused packets.
const ALERT: &str = "CtdropRefusingPackets";

/// How long an alert is pending here.
const FOR: &str = "5s";

/// How long Prometheus may take to notice something; slow guests take a while.
const PATIENCE: Duration = Duration::from_mins(2);

/// How far the alert looks back, and how much later it ends at most: an incident is closed
/// when the table has had room for as long.
const WINDOW: Duration = Duration::from_mins(5);
const LATER: Duration = Duration::from_mins(2);

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "scraped", &LanOptions::default())?;
    let directory = tempfile::tempdir()?;
    let address = scrape::free_address()?;
    let listen = address.to_string();
    let daemon = Daemon::start(machine, directory.path(), &["--metrics-listen", &listen])?;
    let before = Counters::read(&lan.firewall)?;
    let prometheus = Prometheus::start(address, &hastened(RULES))?;
    let quiet = prometheus.alert(ALERT)?;
    ensure!(quiet.is_none(), "{quiet:?} before the first packet");
    under_load(&lan, || {
        fires(&prometheus)?;
        expressions::demand_values(&prometheus)
    })?;
    counts_are_those_of_the_kernel(&prometheus, &lan, &before, address)?;
    if machine.extent == Extent::Full {
        // As long as the table is full, the incident is open, and the alert fires.
        Conntrack::open(&lan.firewall)?.flush()?;
        clears(&prometheus)?;
    } else {
        println!("not waiting for the end of the alert: that takes 5 minutes");
    }
    drop(prometheus);
    daemon.finish().map(drop)
}

/// The same rules, whose alerts are pending for some seconds only.
fn hastened(rules: &str) -> String {
    let line = |line: &str| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: {FOR}\n"),
        _ => format!("{line}\n"),
    };
    rules.lines().map(line).collect()
}

/// Waits until the alert fires; before that it is pending.
fn fires(prometheus: &Prometheus) -> Result<()> {
    let begun = Instant::now();
    let mut seen = Vec::new();
    while seen.last().map(String::as_str) != Some("firing") {
        ensure!(begun.elapsed() < PATIENCE, "the alert was only {seen:?}");
        if let Some(state) = prometheus.alert(ALERT)?
            && seen.last() != Some(&state)
        {
            println!("{state} after {:.1} s", begun.elapsed().as_secs_f64());
            seen.push(state);
        }
        thread::sleep(Duration::from_millis(100));
    }
    ensure!(seen == ["pending", "firing"], "the alert was {seen:?}");
    Ok(())
}

/// Waits until Prometheus has as many packets as the kernel has dropped.
fn counts_are_those_of_the_kernel(
    prometheus: &Prometheus,
    lan: &Lan,
    before: &Counters,
    address: SocketAddr,
) -> Result<()> {
    let dropped = Counters::read(&lan.firewall)?.since(before).get("drop");
    ensure!(dropped > 0, "nothing was refused");
    let series = refused_in(lan.firewall.name());
    let begun = Instant::now();
    loop {
        let known = prometheus.value(&series)?;
        if known.as_deref() == Some(dropped.to_string().as_str()) {
            println!("{dropped} packets");
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "the kernel has dropped {dropped}, Prometheus knows {known:?} of {address}"
        );
        thread::sleep(Duration::from_millis(500));
    }
}

/// Waits until the alert has ended, from when the table has room.
fn clears(prometheus: &Prometheus) -> Result<()> {
    let end = Instant::now();
    while let Some(state) = prometheus.alert(ALERT)? {
        let since = end.elapsed();
        ensure!(since < WINDOW + LATER, "{state} after {since:?} with room");
        thread::sleep(Duration::from_millis(500));
    }
    let since = end.elapsed();
    println!("clear after {:.1} s with room", since.as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_that_alerts_are_pending_is_another() {
        let hastened = hastened(RULES);
        let changed: Vec<_> = RULES
            .lines()
            .zip(hastened.lines())
            .filter(|(before, after)| before != after)
            .collect();
        assert_eq!(RULES.lines().count(), hastened.lines().count());
        assert!(changed.len() >= 6, "{changed:?}");
        let is_for = |line: &str| line.trim_start().starts_with("for: ");
        assert!(
            changed
                .iter()
                .all(|(before, after)| is_for(before) && is_for(after)),
            "{changed:?}"
        );
    }
}
