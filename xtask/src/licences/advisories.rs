//! Known weaknesses of the crates in Cargo.lock, from a copy of the RustSec database.
//!
//! An advisory is a Markdown file, `crates/NAME/RUSTSEC-YEAR-NUMBER.md`, that begins with
//! a block of TOML: the crate and which of its versions are not concerned.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use semver::{Version, VersionReq};
use serde::Deserialize;

use crate::licences::lock::{self, Package};

/// The block at the beginning of an advisory.
#[derive(Debug, Deserialize)]
struct Front {
    advisory: Advisory,
    #[serde(default)]
    versions: Versions,
}

/// What an advisory is.
#[derive(Debug, Deserialize)]
struct Advisory {
    id: String,
    /// Set if it was a mistake.
    withdrawn: Option<String>,
    /// Set if it tells of no weakness, such as `unmaintained`.
    informational: Option<String>,
}

/// The versions that are not concerned.
#[derive(Debug, Default, Deserialize)]
struct Versions {
    #[serde(default)]
    patched: Vec<VersionReq>,
    #[serde(default)]
    unaffected: Vec<VersionReq>,
}

/// Holds the lock against the database. What was found is printed, and is an error.
pub(crate) fn check(database: &Path, lock: &Path) -> Result<()> {
    let crates = database.join("crates");
    ensure!(
        crates.is_dir(),
        "{} is no copy of advisory-db: it has no directory crates",
        database.display()
    );
    let packages = lock::read(lock)?;
    let (mut read, mut found) = (0, Vec::new());
    for package in &packages {
        for text in advisories(&crates.join(&package.name))? {
            read += 1;
            found.extend(concern(package, &text)?);
        }
    }
    for sentence in &found {
        eprintln!("{sentence}");
    }
    ensure!(
        found.is_empty(),
        "{} advisories concern Cargo.lock",
        found.len()
    );
    eprintln!(
        "licences: none of {read} advisories on {} crates concerns Cargo.lock",
        packages.len()
    );
    Ok(())
}

/// The advisories on the crate of this directory; none if it is not there.
fn advisories(directory: &Path) -> Result<Vec<String>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let unread = || format!("cannot read {}", directory.display());
    let entries = fs::read_dir(directory).with_context(unread)?;
    let texts = entries.map(|entry| {
        let file = entry.with_context(unread)?.path();
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    });
    texts.collect()
}

/// What an advisory says about this version, if it is concerned.
fn concern(package: &Package, text: &str) -> Result<Option<String>> {
    let unread = || format!("cannot read an advisory on {}", package.name);
    let block = text.split("```").nth(1).with_context(unread)?;
    let block = block.strip_prefix("toml").unwrap_or(block);
    let Front { advisory, versions } = toml::from_str(block).with_context(unread)?;
    let version = Version::parse(&package.version).with_context(unread)?;
    let mut safe = versions.patched.iter().chain(&versions.unaffected);
    if advisory.withdrawn.is_some()
        || advisory.informational.is_some()
        || safe.any(|versions| versions.matches(&version))
    {
        return Ok(None);
    }
    let title = text.lines().find_map(|line| line.strip_prefix("# "));
    let patched: Vec<String> = versions.patched.iter().map(ToString::to_string).collect();
    let patched = if patched.is_empty() {
        "no version".to_owned()
    } else {
        patched.join(" or ")
    };
    Ok(Some(format!(
        "{} {version}: {}: {}; patched in {patched}",
        package.name,
        advisory.id,
        title.unwrap_or("no title")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADVISORY: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2026-0001\"\n\
        package = \"leaky\"\ndate = \"2026-01-01\"\n\n[versions]\npatched = [\">= 1.2.0\"]\n\
        unaffected = [\"< 1.0.0\"]\n```\n\n# It leaks\n\nAll of it.\n";

    fn leaky(version: &str) -> Package {
        Package {
            name: "leaky".to_owned(),
            version: version.to_owned(),
            checksum: None,
        }
    }

    #[test]
    fn only_versions_that_are_neither_patched_nor_unaffected_are_concerned() {
        let said = concern(&leaky("1.1.0"), ADVISORY).unwrap();
        let expected = "leaky 1.1.0: RUSTSEC-2026-0001: It leaks; patched in >=1.2.0";
        assert_eq!(said.as_deref(), Some(expected));
        assert_eq!(concern(&leaky("1.2.0"), ADVISORY).unwrap(), None);
        assert_eq!(concern(&leaky("0.9.0"), ADVISORY).unwrap(), None);
    }

    #[test]
    fn what_was_withdrawn_or_is_no_weakness_concerns_nobody() {
        for line in [
            "withdrawn = \"2026-02-01\"",
            "informational = \"unmaintained\"",
        ] {
            let advisory = ADVISORY.replace("[versions]", &format!("{line}\n\n[versions]"));
            assert_eq!(concern(&leaky("1.1.0"), &advisory).unwrap(), None, "{line}");
        }
    }

    #[test]
    fn the_whole_lock_is_held_against_the_whole_database() {
        let root = tempfile::tempdir().unwrap();
        let (database, file) = (root.path().join("db"), root.path().join("Cargo.lock"));
        let lock = |version: &str| {
            let text = format!("[[package]]\nname = \"leaky\"\nversion = \"{version}\"\n");
            fs::write(&file, text).unwrap();
        };
        lock("1.1.0");
        let error = check(&database, &file).unwrap_err().to_string();
        assert!(error.contains("no copy of advisory-db"), "{error}");

        let folder = database.join("crates/leaky");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("RUSTSEC-2026-0001.md"), ADVISORY).unwrap();
        assert!(check(&database, &file).is_err());
        lock("1.2.0");
        check(&database, &file).unwrap();
    }
}
