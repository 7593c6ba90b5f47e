//! With only the rights of the service, ctdrop counts the same as root.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    confine::{Confinement, Public, capabilities_of_unit},
    net::{Flood, LanOptions},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::Watch,
};

/// On every kernel, by the backend that it has.
pub static UNIT_RIGHTS: Scenario = Scenario {
    name: "unit_rights",
    about: "nobody with the capabilities of the unit, in another network namespace, counts as root does",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::Seconds,
    run,
};

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "rights", &LanOptions::default())?;
    let unit = Confinement::Unit(capabilities_of_unit()?);
    let public = Public::copy(&machine.ctdrop)?;
    let of_root = probe(&mut Command::new(&machine.ctdrop))?;
    let of_unit = probe(unit.apply(&mut public.command()))?;
    ensure!(of_unit == of_root, "{of_unit}, but root: {of_root}");

    let mut command = public.command();
    unit.apply(&mut command);
    let watch = Watch::start_by(command, machine, &["--quiet", "--all-flows"])?;
    let flood = Flood {
        flows: 1_000,
        packets: 20_000,
        ..Flood::default()
    };
    let sent = flood.send(&lan)?;
    let summary = watch.finish()?;
    summary.expect_drops("table_full", sent.delivered)?;
    let kernel = summary.kernel("drop");
    ensure!(kernel == sent.delivered, "the kernel counted {kernel}");
    Ok(())
}

/// What works here, what not and why, and what is not seen.
fn probe(command: &mut Command) -> Result<Value> {
    let output = command.args(["probe", "-o", "json"]).output()?;
    ensure!(output.status.success(), "ctdrop probe failed: {output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).context("not JSON")?;
    Ok(serde_json::json!({ "backends": said["backends"], "unseen": said["unseen"] }))
}
