//! A limit in the files of sysctl: who reads them, when, and what is lost between.

use anyhow::{Context as _, Result, ensure};

use super::{
    foretold::{self, demand_foretold, demand_outcomes},
    limit::{self, Survival},
    story::Story,
};
use crate::vm::DiskGuest;

/// The limit that a machine with the memory of a guest has by default, from Linux
/// 5.15 on: `nf_conntrack_init_start` in `net/netfilter/nf_conntrack_core.c`.
pub(super) const DEFAULT: u64 = 65_536;

/// The limit of [`DROP_IN`].
pub(super) const WANTED: u64 = 777_777;

/// Where an operator writes a limit.
pub(super) const DROP_IN: (&str, &str) = (
    "/etc/sysctl.d/90-ct.conf",
    "net.netfilter.nf_conntrack_max = 777777\n",
);

/// What loads the module before systemd-sysctl runs.
pub(super) const MODULES_LOAD: (&str, &str) =
    ("/etc/modules-load.d/nf_conntrack.conf", "nf_conntrack\n");

/// The buckets of [`MODPROBE`].
const BUCKETS: u64 = 4096;

/// What sets the buckets at each load of the module.
const MODPROBE: (&str, &str) = (
    "/etc/modprobe.d/nf_conntrack.conf",
    "options nf_conntrack hashsize=4096\n",
);

/// Reboots once.
pub(super) static LOST_AT_BOOT: Story = Story {
    name: "lost_at_boot",
    about: "a limit in sysctl.d alone is lost at each boot: the module comes later",
    once: false,
    packages: false,
    files: &[DROP_IN],
    run: lost_at_boot,
};

/// Demands the loss, the line about it in the journal, and that a hand helps only
/// until the next boot.
fn lost_at_boot(host: &mut DiskGuest) -> Result<()> {
    ensure!(!limit::is_loaded(host)?, "the module is there at boot");
    // By its name, not by its unit: it is gone before journald can look that up.
    let journal = host.succeed(["journalctl", "-b", "--no-pager", "-t", "systemd-sysctl"])?;
    let told = "Couldn't write '777777' to 'net/netfilter/nf_conntrack_max', ignoring";
    ensure!(
        journal.contains(told),
        "the journal does not tell: {journal}"
    );
    limit::load_by_rule(host)?;
    demand("after the boot", limit::max(host)?, DEFAULT)?;
    host.succeed(["sysctl", "--system"])?;
    demand("after sysctl --system", limit::max(host)?, WANTED)?;
    let expected = [
        (Survival::Boot, DEFAULT, None),
        (Survival::ModuleReload, DEFAULT, None),
    ];
    demand_outcomes(host, &expected)
}

/// Reboots once.
pub(super) static KEPT_AT_BOOT: Story = Story {
    name: "kept_at_boot",
    about: "modules-load.d keeps the limit at a boot, and only hashsize at a reload",
    once: false,
    packages: false,
    files: &[DROP_IN, MODULES_LOAD],
    run: kept_at_boot,
};

/// Demands the limit after the boot, its loss at a reload, and eight times the
/// buckets where modprobe sets these.
fn kept_at_boot(host: &mut DiskGuest) -> Result<()> {
    ensure!(limit::is_loaded(host)?, "modules-load.d did not load it");
    demand("after the boot", limit::max(host)?, WANTED)?;
    let reloaded = demand_foretold(host, Survival::ModuleReload, None)?;
    demand("after a reload", reloaded, DEFAULT)?;
    host.write(MODPROBE.0, MODPROBE.1)?;
    limit::reload(host)?;
    demand("buckets", limit::buckets(host)?, BUCKETS)?;
    demand("with hashsize", limit::max(host)?, 8 * BUCKETS)?;
    host.succeed(["sysctl", "--system"])?;
    demand("after sysctl --system", limit::max(host)?, WANTED)?;
    let expected = [
        (Survival::Boot, WANTED, Some((DROP_IN.0, 1))),
        (Survival::ModuleReload, 8 * BUCKETS, Some((MODPROBE.0, 1))),
    ];
    demand_outcomes(host, &expected)
}

/// The limit of [`SYSCTL_CONF`] in [`APPLIERS`].
const OLD_PLACE: u64 = 555_555;

/// Where everybody wrote it before there were directories.
const SYSCTL_CONF: &str = "/etc/sysctl.conf";

/// Boots once.
pub(super) static APPLIERS: Story = Story {
    name: "appliers",
    about: "sysctl --system reads /etc/sysctl.conf last; a boot of Debian 13 never does",
    once: false,
    packages: false,
    files: &[
        DROP_IN,
        MODULES_LOAD,
        (SYSCTL_CONF, "net.netfilter.nf_conntrack_max = 555555\n"),
    ],
    run: appliers,
};

/// Demands what each of both programs makes of the same files.
fn appliers(host: &mut DiskGuest) -> Result<()> {
    let (at_boot, place) = match release(host)? {
        // Here /etc/sysctl.d/99-sysctl.conf is a link to it.
        ..=12 => (OLD_PLACE, SYSCTL_CONF),
        _ => (WANTED, DROP_IN.0),
    };
    demand("after the boot", limit::max(host)?, at_boot)?;
    let boot = foretold::status(host, "/")?["survives"]["boot"].take();
    ensure!(boot["value"] == at_boot, "status says {boot}");
    foretold::demand_place(&boot["because"], Some((place, 1)))?;
    host.succeed(["sysctl", "--system"])?;
    demand("after sysctl --system", limit::max(host)?, OLD_PLACE)?;
    host.succeed(["systemctl", "restart", "systemd-sysctl"])?;
    demand("after systemd-sysctl", limit::max(host)?, at_boot)
}

/// The number of the Debian release.
fn release(host: &mut DiskGuest) -> Result<u32> {
    let about = String::from_utf8(host.read("/etc/os-release")?)?;
    let version = about
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_ID="));
    let version = version.context("no VERSION_ID in /etc/os-release")?;
    let number = version.trim_matches('"').parse();
    number.with_context(|| format!("VERSION_ID is {version}"))
}

/// Demands a value.
pub(super) fn demand(when: &str, found: u64, expected: u64) -> Result<()> {
    ensure!(found == expected, "{when}: {found}, expected {expected}");
    Ok(())
}
