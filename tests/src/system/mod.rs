//! What is tried on a Debian system that boots from a disk, each story in one
//! function: what the limit is after a boot, a reload of the module, a restart.

use anyhow::{Result, ensure};

use crate::vm::DiskGuest;

/// One thing to try on a system.
#[derive(Debug)]
pub struct Story {
    /// What tests and commands call it.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Runs it; an error is a failed assertion or a machine that does not work.
    pub run: fn(&mut DiskGuest) -> Result<()>,
}

/// All stories.
pub static ALL: &[&Story] = &[&BOOTS];

/// The guest is what every other story takes for granted.
static BOOTS: Story = Story {
    name: "boots",
    about: "a disk boots without a failed unit, and keeps over a reboot what was written",
    run: boots,
};

/// Demands a sound system that keeps its disk and nothing else.
fn boots(host: &mut DiskGuest) -> Result<()> {
    for round in 0..2 {
        let failed = host.succeed(["systemctl", "--failed", "--plain", "--no-legend"])?;
        ensure!(host.state() == "running", "{}: {failed}", host.state());
        let modules = host.succeed(["lsmod"])?;
        ensure!(
            !modules.contains("nf_conntrack"),
            "conntrack is loaded unasked: {modules}"
        );
        host.succeed(["ctdrop", "--version"])?;
        if round == 0 {
            host.write("/root/kept", "kept\n")?;
            host.write("/run/lost", "lost\n")?;
            host.reboot()?;
        }
    }
    ensure!(
        host.read("/root/kept")? == b"kept\n",
        "the disk lost a file"
    );
    let lost = host.run(["test", "-e", "/run/lost"])?;
    ensure!(lost.code == Some(1), "the reboot kept /run");
    Ok(())
}
