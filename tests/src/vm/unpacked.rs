//! Programs of a Debian release, unpacked with all that they depend on into a
//! directory that they can be run in; nothing of them is installed.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    apt::{self, Apt},
    architecture::Architecture,
    cache, command,
};

/// Directories that are links where a release has all programs in `/usr`.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Provides the directory that a package of a release is unpacked in.
pub fn provide(suite: &str, package: &str) -> Result<PathBuf> {
    provide_for(Architecture::HERE, suite, &[package])
}

/// Provides the directory that packages for an architecture are unpacked in.
pub(super) fn provide_for(
    architecture: Architecture,
    suite: &str,
    packages: &[&str],
) -> Result<PathBuf> {
    let mut name = format!("{suite}-{}", packages.join("-"));
    if architecture != Architecture::HERE {
        name = format!("{name}-{}", architecture.debian());
    }
    let place = cache::root()?.join("unpacked").join(name);
    cache::provide(&place, |directory| {
        unpack(&Apt::open(architecture, suite)?, packages, directory)
    })?;
    Ok(place)
}

fn unpack(apt: &Apt, wanted: &[&str], directory: &Path) -> Result<()> {
    let packages = tempfile::tempdir().context("cannot create a directory for packages")?;
    apt.download_whole(wanted, packages.path())?;
    for archive in apt::packages_in(packages.path())? {
        let mut extract = Command::new("dpkg-deb");
        command::output(extract.arg("--extract").arg(archive).arg(directory))?;
    }
    for name in MERGED {
        match symlink(format!("usr/{name}"), directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot link {name}"));
            }
            _ => {}
        }
    }
    // Nothing of a host is in there.
    for name in ["proc", "sys", "etc/sysctl.d"] {
        let path = directory.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    }
    Ok(())
}
