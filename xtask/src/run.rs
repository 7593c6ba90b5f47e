//! Builds ctdrop and becomes it.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::{build, host, needs::Purpose, setup};

/// Returns only if ctdrop could not be started.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::setup(Purpose::Build)?;
    let ctdrop = build::ctdrop()?;
    let path = ctdrop
        .to_str()
        .context("the target directory is not UTF-8")?;
    let mut command = vec![path];
    command.extend(arguments.iter().map(String::as_str));
    let error = host::as_root(&command)?.exec();
    Err(error).with_context(|| format!("cannot run {path}"))
}
