//! A daemon on a host whose power fails while packets are refused, and whose disk
//! becomes read-only.

use std::{env, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::story::Story;
use crate::{record::Database, stage::places::CTDROP_BESIDE_DISK, vm::DiskGuest};

/// Read-only for a while, then cut after cut.
pub(super) static POWER: Story = Story {
    name: "power_cut",
    about: "daemon: read-only disks and power cuts leave a sound file and lose an interval at most",
    once: true,
    packages: false,
    files: &[
        ("/etc/modules-load.d/conntrack.conf", "nf_conntrack\n"),
        (
            "/etc/sysctl.d/90-small.conf",
            "net.netfilter.nf_conntrack_max = 2000\n",
        ),
    ],
    run,
};

/// The unit that the daemon runs in.
const UNIT: &str = "ctdrop-daemon";

/// Where it keeps evidence by default.
const FILES: [&str; 2] = ["ctdrop.db", "ctdrop.db-wal"];

/// Longer than an interval, and the time to write it.
const WRITTEN: Duration = Duration::from_secs(4);

/// How often something is looked for that comes with the next intervals.
const GLANCES: u32 = 60;

fn run(host: &mut DiskGuest) -> Result<()> {
    let cuts = if env::var_os("CTDROP_ALL").is_some() {
        20_u32
    } else {
        2
    };
    begin(host)?;
    read_only(host)?;
    for cut in 0..cuts {
        let refused = refuse(host)?;
        thread::sleep(WRITTEN);
        // Some packets of an interval that does not end.
        host.flood(100)?;
        thread::sleep(Duration::from_millis(u64::from(cut) * 137 % 900));
        host.cut_power()?;
        let evidence = copy(host)?;
        sound(&evidence, refused).with_context(|| format!("cut {cut}"))?;
        begin(host)?;
    }
    // A process that ends right after it has written.
    host.succeed(["sysctl", "-w", "net.netfilter.nf_conntrack_max=2500"])?;
    said(host, "limit changed from 2,000 to 2,500 by ")?;
    host.succeed(["systemctl", "stop", UNIT])?;
    let copy = copy(host)?;
    let gaps = Database::of(copy.path())?.gaps()?;
    let boots = gaps.iter().filter(|gap| gap.why == "reboot").count();
    ensure!(
        boots == cuts as usize,
        "{cuts} cuts, and these gaps: {gaps:?}"
    );
    Ok(())
}

/// A firewall with a full table, and a daemon.
fn begin(host: &mut DiskGuest) -> Result<()> {
    host.fill_table()?;
    let unit = format!("--unit={UNIT}");
    host.succeed(["systemd-run", &unit, CTDROP_BESIDE_DISK, "daemon"])?;
    said(host, "limit ")
}

/// Waits for a word in the journal of this boot.
fn said(host: &mut DiskGuest, word: &str) -> Result<()> {
    let mut journal = String::new();
    for _ in 0..GLANCES {
        journal = host.succeed(["journalctl", "--boot", "--no-pager", "--unit", UNIT])?;
        if journal.contains(word) {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(1));
    }
    anyhow::bail!("the daemon does not say {word:?}: {journal}")
}

/// Has packets refused; how many were by now.
fn refuse(host: &mut DiskGuest) -> Result<u64> {
    Ok(host.flood(300)?.refused)
}

/// The disk becomes read-only, as after an error, and writable again: nothing is lost.
fn read_only(host: &mut DiskGuest) -> Result<()> {
    refuse(host)?;
    thread::sleep(WRITTEN);
    host.succeed(["sh", "-c", "echo u > /proc/sysrq-trigger"])?;
    let root = |host: &mut DiskGuest| host.run(["touch", "/var/lib/touched"]);
    for _ in 0..GLANCES {
        if root(host)?.code != Some(0) {
            break;
        }
        thread::sleep(Duration::from_millis(500));
    }
    ensure!(root(host)?.code != Some(0), "the disk is still writable");
    refuse(host)?;
    said(host, "evidence is not written")?;
    refuse(host)?;
    host.succeed(["mount", "-o", "remount,rw", "/"])?;
    said(host, "evidence is written again")?;
    let refused = refuse(host)?;
    thread::sleep(WRITTEN);
    let copy = copy(host)?;
    let evidence = Database::of(copy.path())?;
    ensure!(
        evidence.refused_in("%")? == refused,
        "{refused} packets were refused, {} are recorded",
        evidence.refused_in("%")?
    );
    let gaps = evidence.gaps()?;
    ensure!(
        gaps.len() == 1 && gaps[0].why == "not_written" && gaps[0].lost == 0,
        "{gaps:?}"
    );
    Ok(())
}

/// The evidence, copied out of the guest.
fn copy(host: &mut DiskGuest) -> Result<tempfile::TempDir> {
    let copy = tempfile::tempdir()?;
    for name in FILES {
        let path = format!("/var/lib/ctdrop/{name}");
        if host.run(["test", "-e", &path])?.code == Some(0) {
            std::fs::write(copy.path().join(name), host.read(&path)?)?;
        }
    }
    Ok(copy)
}

/// Demands a sound file with the packets that had been refused before the last interval.
fn sound(copy: &tempfile::TempDir, refused: u64) -> Result<()> {
    // It is read as after a crash: the log of changes is replayed.
    let evidence = Database::replayed(copy.path())?;
    evidence.demand_integrity()?;
    let recorded = evidence.refused_in_last_boot()?;
    ensure!(
        recorded >= refused,
        "{refused} packets had been refused, {recorded} are recorded"
    );
    Ok(())
}
