//! Shows ctdrop at work on a kernel that is not this machine's.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{build, cargo, needs::Purpose, setup};

/// Boots a guest in which ctdrop watches a full table.
pub(crate) fn demo(kernel: &str) -> Result<()> {
    setup::setup(Purpose::Test)?;
    let (ctdrop, tests) = build::ctdrop_and_tests(build::Profile::Trial)?;
    let mut demo = Command::new(&tests);
    demo.args(["demo", "--kernel", kernel, "--ctdrop"])
        .arg(&ctdrop);
    demo.env("CTDROP_VM_LOGS", cargo::target()?.join("vm-logs"));
    let status = demo
        .status()
        .with_context(|| format!("cannot run {}", tests.display()))?;
    ensure!(status.success(), "the demo failed: see the lines above");
    Ok(())
}
