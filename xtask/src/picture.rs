//! Draws docs/screen.svg: the live screen, as a virtual machine shows it.

use std::{fs, process::Command};

use anstyle_svg::Term;
use anyhow::{Context as _, Result, ensure};

use crate::{build, cargo, needs::Purpose, setup};

/// Where the picture is, from the top of the sources.
const PICTURE: &str = "docs/screen.svg";

/// Boots a guest in which ctdrop watches a full table, and draws what its terminal shows.
pub(crate) fn picture(kernel: &str) -> Result<()> {
    setup::setup(Purpose::Test)?;
    let (ctdrop, tests) = build::ctdrop_and_tests(build::Profile::Trial)?;
    let mut guest = Command::new(&tests);
    guest.args(["bench", "picture", "--kernel", kernel, "--ctdrop"]);
    guest.arg(&ctdrop);
    let output = guest
        .env("CTDROP_VM_LOGS", cargo::target()?.join("vm-logs"))
        .output()
        .with_context(|| format!("cannot run {}", tests.display()))?;
    ensure!(
        output.status.success() && !output.stdout.is_empty(),
        "the guest showed no screen: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let screen = String::from_utf8(output.stdout).context("the screen is not UTF-8")?;
    let path = cargo::root()?.join(PICTURE);
    fs::write(&path, Term::new().render_svg(&screen))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}
