//! Packages of Python, each in a directory of its own; nothing of them is installed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{cache, command};

/// Provides the directory that a version of a package is in, with all that it depends on.
pub fn provide(name: &str, version: &str) -> Result<PathBuf> {
    let place = cache::root()?
        .join("python")
        .join(format!("{name}-{version}"));
    cache::provide(&place, |directory| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(directory)
            .arg(format!("{name}=={version}"));
        let installed = command::output(&mut pip);
        installed.with_context(|| format!("cannot get {name} {version} with pip"))?;
        Ok(())
    })?;
    Ok(place)
}

/// Python with these packages.
pub fn command(packages: &Path) -> Command {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages);
    python
}
