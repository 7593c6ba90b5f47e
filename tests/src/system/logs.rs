//! What a real kernel and a real journal tell of a full table.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{foretold, limit, story::Story};
use crate::vm::DiskGuest;

/// Never reboots.
pub(super) static LOGS: Story = Story {
    name: "logs",
    about: "a full table in the kernel's log and in the journal: logs says how many at least and most",
    once: true,
    packages: false,
    files: &[],
    run,
};

/// Packets of each flood, more than the kernel writes lines for.
const FLOWS: u32 = 500;

/// How long the kernel holds messages back before it says how many it has:
/// `net_ratelimit_state` in `net/core/utils.c`.
const HELD_BACK: Duration = Duration::from_secs(5);

/// Binds the agent to one CPU. Before 6.16 the kernel forgets a message for which
/// it finds the lock of its limit taken by another CPU, which no log can tell:
/// `___ratelimit` in `lib/ratelimit.c`.
const ONE_CPU: &str = "taskset -a -p 1 $PPID";

/// Demands that what was refused is between the bounds, and that status says how bad
/// it is.
fn run(host: &mut DiskGuest) -> Result<()> {
    limit::load_by_rule(host)?;
    ensure!(foretold::status(host, "/")?["state"] == "ok", "not at rest");
    host.succeed(["sysctl", "-w", "net.netfilter.nf_conntrack_max=1000"])?;
    // The agent, and with it what sends: see `ONE_CPU`.
    host.succeed(["sh", "-c", ONE_CPU])?;
    let full = host.fill_table()?;
    let worst = foretold::status(host, "/")?;
    ensure!(
        worst["state"] == "critical",
        "{} of a full table",
        worst["state"]
    );
    host.flood(FLOWS)?;
    thread::sleep(HELD_BACK + Duration::from_secs(1));
    // Its first packet has the kernel say how many it has not told of.
    host.flood(FLOWS)?;
    thread::sleep(HELD_BACK + Duration::from_secs(1));
    let refused = host.flood(1)?.refused - full.refused;
    ensure!(refused == u64::from(2 * FLOWS + 1), "{refused} refused");
    host.succeed(["journalctl", "--sync"])?;

    let journal = logs(host, "ctdrop logs -o json")?;
    demand_bounds(&journal, refused).context("the journal")?;
    let exported = logs(host, "journalctl -k -o short-iso | ctdrop logs -o json -")?;
    demand_bounds(&exported, refused).context("what journalctl prints")?;
    let dmesg = logs(host, "dmesg | ctdrop logs -o json -")?;
    demand_bounds(&dmesg, refused).context("what dmesg prints")?;
    let kernel = logs(host, "ctdrop logs -o json /dev/kmsg")?;
    demand_bounds(&kernel, refused).context("/dev/kmsg")?;

    host.succeed(["sysctl", "-w", "net.netfilter.nf_conntrack_max=100000"])?;
    let state = &foretold::status(host, "/")?["state"];
    ensure!(state != "critical", "{state} with room again");
    Ok(())
}

/// What `ctdrop logs` says.
fn logs(host: &mut DiskGuest, script: &str) -> Result<Value> {
    let said = host.succeed(["sh", "-c", script])?;
    serde_json::from_str(&said).with_context(|| format!("{script}: {said}"))
}

/// Demands that the packets that were refused are within the bounds, and these no
/// wider than the kernel's own lines make them.
fn demand_bounds(logs: &Value, refused: u64) -> Result<()> {
    let number = |value: &Value| value.as_u64().with_context(|| format!("no number: {logs}"));
    let drops = &logs["drops"];
    let (least, most) = (number(&drops["at_least"])?, number(&drops["at_most"])?);
    let (lines, suppressed) = (number(&logs["lines"])?, number(&logs["suppressed"])?);
    ensure!(
        least == lines && most == lines + suppressed && lines > 0,
        "bounds of their own: {logs}"
    );
    ensure!(
        (least..=most).contains(&refused),
        "{refused} were refused, not {least} to {most}: {logs}"
    );
    Ok(())
}
