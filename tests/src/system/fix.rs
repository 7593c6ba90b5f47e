//! A limit that is too small and lost by everything, and `ctdrop fix`.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{
    etc::Etc,
    foretold,
    limit::{self, Outcomes, SERVICE, Survival},
    service,
    story::Story,
    sysctl::demand,
};
use crate::{
    stage::places::CTDROP_BESIDE_DISK as CTDROP,
    vm::{DiskGuest, File},
};

/// Reboots once.
pub(super) static FIX: Story = Story {
    name: "fix",
    about: "a full table; fix ends the drops for good, undo takes it back to the byte",
    once: false,
    packages: false,
    files: &FILES,
    run,
};

/// A host that has it all: a limit that comes too early at boot, a module option
/// that makes the table small, a firewall whose restart unloads the module.
pub(super) const FILES: [File; 6] = [
    (
        "/etc/sysctl.d/90-ct.conf",
        "# For the proxy.\nnet.netfilter.nf_conntrack_max = 100000\n",
    ),
    (
        "/etc/modprobe.d/nf_conntrack.conf",
        "# Little memory.\noptions nf_conntrack hashsize=512\n",
    ),
    ("/etc/systemd/system/iptables.service", service::UNIT),
    ("/usr/libexec/iptables/iptables.init", service::SCRIPT),
    ("/etc/sysconfig/iptables", service::RULES),
    (
        service::CONFIG,
        "# Unload modules on restart and stop\nIPTABLES_MODULES_UNLOAD=\"yes\"\n",
    ),
];

/// The limit that was meant.
pub(super) const MEANT: u64 = 100_000;

/// The buckets of the module option.
pub(super) const FEW: u64 = 512;

/// The limit that comes of them.
pub(super) const SMALL: u64 = 8 * FEW;

/// Flows of each flood.
const FLOWS: u32 = 3_000;

/// Demands loss, mending, its lasting, and the way back.
fn run(host: &mut DiskGuest) -> Result<()> {
    host.succeed(["systemctl", "enable", "--now", SERVICE])?;
    let before = without(host)?;
    let labels = label(host)?;
    let etc = Etc::of(host)?;
    let fix = full_table(host)?;
    ensure!(fix["target"]["max"] == MEANT, "aims at {}", fix["target"]);
    before.demand(&fix["survives"], "before")?;
    let fixed = Etc::of(host)?;
    for path in EDITED {
        ensure!(etc.differing(&fixed).contains(&path), "{path} is as it was");
    }
    let kept = attributes(host)?;
    ensure!(kept == labels, "{kept}, not {labels}");
    demand_idle(host, &fixed)?;

    let after = Outcomes::of(host)?;
    after.demand(&fix["survives"], "after")?;
    let wanted = Survival::ALL.map(|survival| (survival, MEANT));
    ensure!(after.limits == wanted, "{:?}", after.limits);
    after.demand(&foretold::status(host, "/")?["survives"], "value")?;
    demand_size(host, &fix)?;

    take_back(host, &fix)?;
    etc.demand_same(host)?;
    demand("after undo", limit::max(host)?, SMALL)?;
    demand("buckets after undo", limit::buckets(host)?, FEW)?;
    let reloaded = Survival::ModuleReload.happen(host)?;
    demand("reloaded after undo", reloaded, SMALL)
}

/// Files whose lines are to be changed.
const EDITED: [&str; 2] = ["/etc/modprobe.d/nf_conntrack.conf", service::CONFIG];

/// Gives the files that are to be changed a label, an attribute and a list of
/// access, and returns all their attributes.
fn label(host: &mut DiskGuest) -> Result<String> {
    for path in EDITED {
        let label = ["security.selinux", "system_u:object_r:etc_t:s0"];
        for [name, value] in [label, ["user.reviewed", "yes"]] {
            host.succeed(["setfattr", "-n", name, "-v", value, path])?;
        }
        host.succeed(["setfacl", "-m", "u:nobody:r", path])?;
    }
    let attributes = attributes(host)?;
    for name in ["security.selinux", "user.reviewed", "posix_acl_access"] {
        let files = attributes
            .lines()
            .filter(|line| line.contains(name))
            .count();
        ensure!(files == EDITED.len(), "{name} is not set: {attributes}");
    }
    Ok(attributes)
}

/// All extended attributes of the files that are to be changed.
fn attributes(host: &mut DiskGuest) -> Result<String> {
    let command = ["getfattr", "-d", "-e", "hex", "-m", "-", "--absolute-names"];
    host.succeed(command.into_iter().chain(EDITED))
}

/// Demands that nothing leaves the limit that was meant in force, and returns what it
/// then is. The boot is the first one.
fn without(host: &mut DiskGuest) -> Result<Outcomes> {
    let mut limits = vec![(Survival::Boot, limit::max(host)?)];
    for survival in [Survival::ModuleReload, Survival::ServiceRestart] {
        limits.push((survival, survival.happen(host)?));
    }
    ensure!(
        limits.iter().all(|(_, limit)| *limit == SMALL),
        "nothing to be mended: {limits:?}"
    );
    Ok(Outcomes { limits })
}

/// Fills the table, has packets refused, mends it, and demands that no more are; by
/// the kernel's counter and by `ctdrop watch`, which is there all the time.
fn full_table(host: &mut DiskGuest) -> Result<Value> {
    let full = host.fill_table()?;
    ensure!(full.entries == SMALL, "not full: {full:?}");
    let run = [
        "systemd-run",
        "--unit=watch",
        "--property=StandardOutput=file:/run/watch",
    ];
    host.succeed(run.into_iter().chain([CTDROP, "watch", "-o", "json"]))?;
    await_line(host, "/run/watch")?;
    let refused = host.flood(FLOWS)?.refused - full.refused;
    ensure!(refused == u64::from(FLOWS), "{refused} refused");

    let fix = fix(host, &["--yes"])?;
    let size = (limit::max(host)?, limit::buckets(host)?);
    let table = host.flood(FLOWS)?;
    ensure!(
        table.refused - full.refused == refused,
        "refused after the fix, too: {table:?}"
    );
    let tracked = SMALL + u64::from(FLOWS);
    ensure!(table.entries == tracked, "not tracked: {table:?}");
    ensure!(table.max == size.0, "{table:?}, the host has {}", size.0);
    demand_size(host, &fix)?;

    host.succeed(["systemctl", "stop", "watch"])?;
    let watched = String::from_utf8(host.read("/run/watch")?)?;
    let summary = watched.lines().last().context("watch said nothing")?;
    let summary: Value = serde_json::from_str(summary)?;
    ensure!(
        summary["type"] == "summary" && summary["drops"]["table_full"] == refused,
        "watch counted {}, and {refused} were refused",
        summary["drops"]
    );
    host.forget_table()?;
    Ok(fix)
}

/// Waits until a file has a line.
fn await_line(host: &mut DiskGuest, path: &str) -> Result<()> {
    for _ in 0..100 {
        if host.run(["grep", "-q", "", path])?.code == Some(0) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
    bail!("nothing is written to {path}")
}

/// Runs `ctdrop fix`, which must succeed, and returns what it says.
pub(super) fn fix(host: &mut DiskGuest, options: &[&str]) -> Result<Value> {
    let command = ["ctdrop", "fix", "-o", "json"];
    let said = host.succeed(command.into_iter().chain(options.iter().copied()))?;
    serde_json::from_str(&said).with_context(|| format!("ctdrop fix said {said}"))
}

/// Demands that limit and buckets are what a fix has planned.
pub(super) fn demand_size(host: &mut DiskGuest, fix: &Value) -> Result<()> {
    for (what, found) in [
        ("max", limit::max(host)?),
        ("buckets", limit::buckets(host)?),
    ] {
        let planned = &fix["target"][what];
        ensure!(*planned == found, "{what} {found}, planned {planned}");
    }
    Ok(())
}

/// Demands that there is nothing more to do, and that this is all that is done.
pub(super) fn demand_idle(host: &mut DiskGuest, fixed: &Etc) -> Result<()> {
    let again = fix(host, &["--yes"])?;
    ensure!(
        again["steps"] == Value::Array(Vec::new()) && again["id"].is_null(),
        "a second fix: {again}"
    );
    fixed.demand_same(host)
}

/// Demands that a fix is listed as one in force, takes it back, and demands that it
/// was all taken back.
pub(super) fn take_back(host: &mut DiskGuest, fix: &Value) -> Result<()> {
    let listed = host.succeed(["ctdrop", "undo", "--list", "-o", "json"])?;
    let last = listed.lines().last().context("no fix is listed")?;
    let last: Value = serde_json::from_str(last)?;
    ensure!(
        last["id"] == fix["id"] && last["state"] == "applied",
        "listed last: {last}"
    );
    let undone = host.succeed(["ctdrop", "undo", "-o", "json"])?;
    let undone: Value = serde_json::from_str(&undone)?;
    ensure!(
        undone["id"] == fix["id"] && undone["left"] == Value::Array(Vec::new()),
        "undo said {undone}"
    );
    Ok(())
}
