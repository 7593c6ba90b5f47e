//! Shows ctdrop at work on a kernel that is not this machine's.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{architecture::Architecture, build, cargo, needs::Purpose, setup};

/// Boots a guest in which ctdrop watches a full table.
pub(crate) fn demo(kernel: &str) -> Result<()> {
    let other = Architecture::of_kernel(kernel).if_other();
    setup::setup_for(Purpose::Test, other)?;
    let (ctdrop, tests) = build::ctdrop_and_tests(build::Profile::Trial)?;
    if other.is_some() {
        // The guest's are found beside.
        build::ctdrop_and_tests_for(build::Profile::Trial, other)?;
    }
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
