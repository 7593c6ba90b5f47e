//! Known weaknesses of the crates in Cargo.lock, from a copy of the RustSec database.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rustsec::{Database, Lockfile};

/// Holds the lock against the database. What was found is printed, and is an error.
pub(crate) fn check(database: &Path, lock: &Path) -> Result<()> {
    let advisories = Database::open(database).with_context(|| {
        format!("cannot read the advisories in {}: it must be a copy of advisory-db", database.display())
    })?;
    let count = advisories.iter().count();
    ensure!(count > 0, "{} holds no advisories", database.display());
    let lock = Lockfile::load(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let found = found(&advisories, &lock);
    for sentence in &found {
        eprintln!("{sentence}");
    }
    ensure!(found.is_empty(), "{} advisories concern Cargo.lock", found.len());
    eprintln!("licences: none of {count} advisories concerns Cargo.lock");
    Ok(())
}

/// What concerns the lock, a sentence each.
fn found(advisories: &Database, lock: &Lockfile) -> Vec<String> {
    let found = advisories.vulnerabilities(lock).into_iter();
    found
        .map(|one| {
            let patched = one.versions.patched().iter().map(ToString::to_string);
            let patched: Vec<String> = patched.collect();
            format!(
                "{} {}: {}: {}; patched in {}",
                one.package.name,
                one.package.version,
                one.advisory.id,
                one.advisory.title,
                if patched.is_empty() { "no version".to_owned() } else { patched.join(" or ") }
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ADVISORY: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2026-0001\"\npackage = \"leaky\"\n\
        date = \"2026-01-01\"\n\n[versions]\npatched = [\">= 1.2.0\"]\n```\n\n# It leaks\n\nAll of it.\n";

    fn lock(version: &str) -> String {
        format!(
            "version = 4\n\n[[package]]\nname = \"leaky\"\nversion = \"{version}\"\n\
             source = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
             checksum = \"{}\"\n",
            "0".repeat(64)
        )
    }

    #[test]
    fn a_version_that_is_not_patched_is_found() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("db/crates/leaky");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("RUSTSEC-2026-0001.md"), ADVISORY).unwrap();
        let file = root.path().join("Cargo.lock");
        let database = root.path().join("db");

        fs::write(&file, lock("1.1.0")).unwrap();
        let lockfile = Lockfile::load(&file).unwrap();
        let advisories = Database::open(&database).unwrap();
        let expected = "leaky 1.1.0: RUSTSEC-2026-0001: It leaks; patched in >=1.2.0";
        assert_eq!(found(&advisories, &lockfile), [expected]);
        assert!(check(&database, &file).is_err());

        fs::write(&file, lock("1.2.0")).unwrap();
        check(&database, &file).unwrap();
    }

    #[test]
    fn a_directory_without_advisories_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let error = check(root.path(), &root.path().join("Cargo.lock"));
        assert!(error.is_err());
    }
}
