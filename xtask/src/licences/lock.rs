//! The crates in `Cargo.lock`, with their checksums.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// A crate of the lock.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The SHA-256 of its archive in the registry; none if it is of this workspace.
    pub(crate) checksum: Option<String>,
}

/// The file.
#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

/// Reads the lock.
pub(crate) fn read(file: &Path) -> Result<Vec<Package>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lock: Lock =
        toml::from_str(&text).with_context(|| format!("{} is no lock of cargo", file.display()))?;
    Ok(lock.package)
}
