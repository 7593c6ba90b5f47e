//! What cannot be written: said, by name, and nothing is left half done.

use std::{ffi::CStr, io, ptr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::common::{FLOOD, FULL, begin_small, expect_action, number, take_back, watch};
use crate::{
    net::{Flood, Lan, LanOptions},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::Watch,
};

/// Read-only one after the other: sysctls, settings, records.
pub static UNWRITABLE: Scenario = Scenario {
    name: "fix_unwritable",
    about: "fix auto: sysctls, files and records that cannot be written are named, once",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: unwritable,
};

fn unwritable(machine: &Machine) -> Result<()> {
    begin_small()?;
    let lan = setup::full_lan(machine, "unwritable", &LanOptions::default())?;
    sysctls(machine, &lan)?;
    settings(machine, &lan)?;
    records(machine, &lan)
}

/// Nothing is tried again.
fn sysctls(machine: &Machine, lan: &Lan) -> Result<()> {
    let mount = ReadOnly::mount(c"/proc/sys")?;
    let mut watch = watch(machine, &["--fix", "auto"])?;
    FLOOD.send(lan)?;
    let failed = watch.next_fix()?;
    expect_action(&failed, "failed")?;
    let error = failed["error"].as_str().unwrap_or_default();
    ensure!(
        error.contains("nf_conntrack_") && error.contains("Read-only file system"),
        "{failed}"
    );
    // Longer than the cool-down.
    thread::sleep(Duration::from_secs(3));
    FLOOD.send(lan)?;
    let (summary, rest) = watch.finish_with_fixes()?;
    ensure!(rest.is_empty(), "said again: {rest:?}");
    ensure!(summary.fixes.is_some_and(|fixes| fixes.is_empty()));
    mount.end()
}

/// The kernel keeps what it was given, on record; the files are as they were.
fn settings(machine: &Machine, lan: &Lan) -> Result<()> {
    let mount = ReadOnly::mount(c"/etc")?;
    let mut watch = watch(machine, &["--fix", "auto"])?;
    let kept = raised_and_then(&mut watch, lan, 10_000, "kept")?;
    let shortfall = kept["shortfalls"][0]["why"].as_str().unwrap_or_default();
    ensure!(
        shortfall.contains("cannot")
            && shortfall.contains("/etc/")
            && shortfall.contains("os error 30")
            && shortfall.contains("the files are as they were"),
        "{kept}"
    );
    let id = kept["id"].as_str().context("no id")?.to_owned();
    watch.finish()?.expect_reconciled()?;
    mount.end()?;
    take_back(machine, &id)?;
    ensure!(number("max")? == FULL, "the limit is {}", number("max")?);
    Ok(())
}

/// The kernel keeps what it was given; the files are not even begun.
fn records(machine: &Machine, lan: &Lan) -> Result<()> {
    let mount = ReadOnly::mount(c"/var")?;
    let mut watch = watch(machine, &["--fix", "auto"])?;
    let not_kept = raised_and_then(&mut watch, lan, 20_000, "not_kept")?;
    let error = not_kept["error"].as_str().unwrap_or_default();
    ensure!(
        error.contains("/var/lib/ctdrop") && error.contains("os error 30"),
        "{not_kept}"
    );
    let summary = watch.finish()?;
    ensure!(summary.fixes.is_some_and(|fixes| fixes.is_empty()));
    mount.end()
}

/// Sends flows that were not sent before, from this one on, and demands that the
/// limit is raised; gives what is said then.
fn raised_and_then(watch: &mut Watch, lan: &Lan, first_flow: u32, action: &str) -> Result<Value> {
    Flood {
        first_flow,
        ..FLOOD
    }
    .send(lan)?;
    let raised = watch.next_fix()?;
    expect_action(&raised, "raised")?;
    ensure!(
        number("max")? > FULL && raised["after"]["max"] == number("max")?,
        "the limit is {}: {raised}",
        number("max")?
    );
    let next = watch.next_fix()?;
    expect_action(&next, action)?;
    Ok(next)
}

/// A directory that is read-only until this ends.
struct ReadOnly(&'static CStr);

impl ReadOnly {
    fn mount(path: &'static CStr) -> Result<Self> {
        let mount = Self(path);
        mount.bind(0)?;
        mount.bind(libc::MS_REMOUNT | libc::MS_RDONLY)?;
        Ok(mount)
    }

    /// Mounts it on itself, or changes how it is mounted there.
    fn bind(&self, flags: libc::c_ulong) -> Result<()> {
        let path = self.0.as_ptr();
        // SAFETY: the path is a string that ends with NUL; the rest may be null.
        let failed =
            unsafe { libc::mount(path, path, ptr::null(), libc::MS_BIND | flags, ptr::null()) };
        self.demand(failed, "mount")
    }

    fn end(self) -> Result<()> {
        // SAFETY: the path is a string that ends with NUL.
        let failed = unsafe { libc::umount(self.0.as_ptr()) };
        self.demand(failed, "unmount")
    }

    fn demand(&self, failed: libc::c_int, what: &str) -> Result<()> {
        ensure!(
            failed == 0,
            "cannot {what} {:?}: {}",
            self.0,
            io::Error::last_os_error()
        );
        Ok(())
    }
}
