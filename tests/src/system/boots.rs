//! The guest is what every other story takes for granted.

use anyhow::{Result, ensure};

use super::story::Story;
use crate::vm::DiskGuest;

/// Reboots once.
pub(super) static BOOTS: Story = Story {
    name: "boots",
    about: "a disk boots without a failed unit, and keeps over a reboot what was written",
    once: true,
    packages: false,
    files: &[("/etc/before", "before\n")],
    run,
};

/// Demands a sound system that keeps its disk and nothing else.
fn run(host: &mut DiskGuest) -> Result<()> {
    demand_sound(host)?;
    ensure!(
        host.read("/etc/before")? == b"before\n",
        "a file was not put onto the disk"
    );
    for path in ["/etc/before", "/etc/after", "/run/lost"] {
        host.write(path, "written\n")?;
    }
    host.reboot()?;
    demand_sound(host)?;
    for path in ["/etc/before", "/etc/after"] {
        ensure!(
            host.read(path)? == b"written\n",
            "the reboot changed {path}"
        );
    }
    let lost = host.run(["test", "-e", "/run/lost"])?;
    ensure!(lost.code == Some(1), "the reboot kept /run");
    Ok(())
}

/// Demands that everything was started, and conntrack by nobody.
fn demand_sound(host: &mut DiskGuest) -> Result<()> {
    let failed = host.succeed(["systemctl", "--failed", "--plain", "--no-legend"])?;
    ensure!(host.state() == "running", "{}: {failed}", host.state());
    let modules = host.succeed(["lsmod"])?;
    ensure!(
        !modules.contains("nf_conntrack"),
        "conntrack is loaded unasked: {modules}"
    );
    let version = host.succeed(["ctdrop", "--version"])?;
    ensure!(version.starts_with("ctdrop "), "no ctdrop: {version}");
    Ok(())
}
