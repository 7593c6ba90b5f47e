//! What all scenarios of `watch --fix` begin with, and how they read its events.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    net::{Counters, Family, Flood, Lan, Protocol},
    stage::Machine,
    watch::Watch,
};

/// The limit of `setup::full_lan`.
pub(super) const FULL: u64 = 2_000;

/// The multiple of 8,192 that twice as much is rounded up to.
pub(super) const RAISED: u64 = 8_192;

/// Where the module is told how to begin.
pub(super) const SMALL: &str = "/etc/modprobe.d/small.conf";

/// Fewer flows than there is room for once the limit is raised, and than the
/// entries that have an answer, so that it is no flood.
pub(super) const FLOOD: Flood = Flood {
    protocol: Protocol::Udp,
    family: Family::V4,
    first_flow: 0,
    flows: 1_500,
    packets: 60_000,
    destination_port: 9,
    spoofed: false,
};

/// No report comes between.
pub(super) const NO_INTERVAL: [&str; 2] = ["--interval", "10m"];

pub(super) fn watch(machine: &Machine, arguments: &[&str]) -> Result<Watch> {
    Watch::start(
        machine,
        &[&["--all-flows"], &NO_INTERVAL[..], arguments].concat(),
    )
}

/// Has the module begin small on this machine, with fewer buckets than a raised
/// limit needs, so that there is something to be done in files.
pub(super) fn begin_small() -> Result<()> {
    fs::create_dir_all("/etc/modprobe.d")?;
    fs::write(SMALL, "options nf_conntrack hashsize=512\n")
        .with_context(|| format!("cannot write {SMALL}"))
}

pub(super) fn number(name: &str) -> Result<u64> {
    let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.trim().parse()?)
}

pub(super) fn expect_action(event: &Value, action: &str) -> Result<()> {
    ensure!(event["action"] == action, "not {action}: {event}");
    Ok(())
}

/// The steps of a plan that are files: path, whether it was there, and content.
pub(super) fn files(event: &Value) -> Result<Vec<(String, bool, String)>> {
    let steps = event["steps"].as_array().context("no steps")?;
    let files = steps.iter().filter(|step| step["kind"] != "live");
    files
        .map(|step| {
            let text = |key: &str| step[key].as_str().map(str::to_owned);
            Ok((
                text("path").with_context(|| format!("no path: {step}"))?,
                !step["before"].is_null(),
                text("after").with_context(|| format!("no content: {step}"))?,
            ))
        })
        .collect()
}

pub(super) fn drops(lan: &Lan) -> Result<u64> {
    Ok(Counters::read(&lan.firewall)?.get("drop"))
}

pub(super) fn take_back(machine: &Machine, id: &str) -> Result<()> {
    let undone = Command::new(&machine.ctdrop).args(["undo", id]).output()?;
    ensure!(undone.status.success(), "undo: {undone:?}");
    Ok(())
}
