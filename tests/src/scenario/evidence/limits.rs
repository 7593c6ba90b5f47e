//! Changes of the limit, and who makes them.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    record::{Daemon, Database},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// By a process that lives on, and after the module was loaded again.
pub static LIMITS: Scenario = Scenario {
    name: "limit_made_by",
    about: "daemon: whoever changes the limit is named, also after a reload of the module",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run,
};

fn run(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    let directory = tempfile::tempdir()?;
    let daemon = Daemon::start(machine, directory.path(), &[])?;
    changed(&daemon, 5_000)?;
    let gone = Command::new("modprobe")
        .args(["-r", "nf_conntrack_netlink", "nf_conntrack"])
        .status()?;
    ensure!(gone.success(), "the module stays loaded");
    setup::load_conntrack(machine)?;
    let reset = daemon.next("the limit is the default again", |line| {
        line["event"] == "limit_changed" && line["before"]["max"] == 5_000
    })?;
    ensure!(reset["made_by"].is_null(), "nobody wrote that: {reset}");
    changed(&daemon, 6_000)?;
    // What a line tells is in the evidence a little later, at the end for certain.
    daemon.finish()?;
    let rows = Database::of(directory.path())?.count("limits WHERE made_by IS NOT NULL")?;
    ensure!(rows == 2, "{rows} changes have an author");
    Ok(())
}

/// Sets the limit, and demands that this process is named for it.
fn changed(daemon: &Daemon, max: u32) -> Result<()> {
    setup::set_conntrack("max", max)?;
    let change = daemon.next("the limit has changed", |line| {
        line["event"] == "limit_changed" && line["after"]["max"] == max
    })?;
    let by: &Value = &change["made_by"];
    let own = own_name().context("the name of this process")?;
    ensure!(
        by["pid"] == std::process::id() && by["comm"] == own.as_str(),
        "{change}: this is {own}[{}]",
        std::process::id()
    );
    Ok(())
}

fn own_name() -> Result<String> {
    let name = fs::read_to_string(Path::new("/proc/self/comm"))?;
    Ok(name.trim_end().to_owned())
}
