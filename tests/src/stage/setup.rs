//! What scenarios start from.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context as _, Result, bail, ensure};

use super::machine::{Backend, Machine};
use crate::net::{Fill, Flood, Lan, LanOptions};

/// Entries that a guest allows in a table: few, so that it is soon full.
const LIMIT: u32 = 2_000;

/// Loads conntrack where it is a module.
pub fn load_conntrack(machine: &Machine) -> Result<()> {
    if !machine.guest {
        return Ok(());
    }
    ["nf_conntrack", "nf_conntrack_netlink"]
        .into_iter()
        .try_for_each(modprobe)
}

/// Loads a module, in a guest.
pub fn modprobe(module: &str) -> Result<()> {
    let status = Command::new("modprobe").arg(module).status()?;
    ensure!(status.success(), "cannot load {module}");
    Ok(())
}

/// Version of the running kernel: 5.10 is (5, 10).
pub fn kernel_version() -> Result<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("{release:?} is no version of a kernel"),
    }
}

/// This machine as if its kernel offered no better backend than the tracepoint; none,
/// with a word why, on a kernel that does not offer it either.
pub fn with_the_tracepoint(machine: &Machine) -> Result<Option<Machine>> {
    /// The first kernel that says that netfilter dropped a packet
    /// (`SKB_DROP_REASON_NETFILTER_DROP`).
    const FIRST: (u32, u32) = (5, 18);
    if kernel_version()? < FIRST {
        println!("skipped: kernels before 5.18 do not say why a packet was dropped");
        return Ok(None);
    }
    Ok(Some(Machine {
        backend: Backend::Tracepoint,
        forced: true,
        ..machine.clone()
    }))
}

/// Sets a number of conntrack, in a guest.
pub fn set_conntrack(name: &str, value: u32) -> Result<()> {
    let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
    fs::write(&path, value.to_string()).with_context(|| format!("cannot write {path}"))
}

/// A network whose firewall tracks, with a low limit where it can be set.
pub fn limited_lan(machine: &Machine, name: &str, options: &LanOptions) -> Result<Lan> {
    load_conntrack(machine)?;
    if machine.guest {
        set_conntrack("max", LIMIT)?;
    }
    Lan::create(name, options)
}

/// The same with a full table, in which no entry can be evicted.
pub fn full_lan(machine: &Machine, name: &str, options: &LanOptions) -> Result<Lan> {
    let lan = limited_lan(machine, name, options)?;
    Fill::default().to_the_limit(&lan.firewall)?;
    Ok(lan)
}

/// How many packets each flow of a flood has, by tuple.
pub fn packets_by_flow(flood: &Flood) -> BTreeMap<String, u64> {
    flood
        .flow_numbers()
        .map(|number| (flood.tuple(number).to_string(), flood.packets_of(number)))
        .collect()
}
