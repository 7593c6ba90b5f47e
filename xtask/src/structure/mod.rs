//! Checks the structure of the sources: the layers of the rooms, circles, sizes.
//!
//! The rooms are the top-level modules of conntrack-user; their layers are the
//! table in ARCHITECTURE.md. Circles and sizes are checked in every crate of the
//! workspace. There is no list of exceptions. Code that only tests compile counts
//! for the sizes alone.

use std::path::Path;

use anyhow::{Result, ensure};
use layers::Layers;
use violation::Violation;
use workspace::Package;

mod circles;
mod conditions;
mod layers;
mod modules;
mod sizes;
mod syntax;
mod ties;
mod violation;
mod workspace;

#[cfg(test)]
mod tests;

/// The package whose top-level modules are the rooms.
const LAYERED: &str = "conntrack-user";

/// The file with the table of the layers.
const TABLE: &str = "ARCHITECTURE.md";

/// Checks the workspace in this directory. Violations are printed, and are an
/// error.
pub(crate) fn check(root: &Path) -> Result<()> {
    let layers = Layers::read(root, Path::new(TABLE))?;
    let mut violations = Vec::new();
    for package in workspace::packages(root)? {
        let layers = (package.name == LAYERED).then_some(&layers);
        violations.extend(of_package(root, &package, layers)?);
    }
    for violation in &violations {
        eprintln!("{violation}");
    }
    let count = violations.len();
    let what = if count == 1 {
        "violation"
    } else {
        "violations"
    };
    ensure!(count == 0, "{count} {what} of the structure");
    Ok(())
}

/// What a package does that it should not; paths are relative to `root`.
fn of_package(root: &Path, package: &Package, layers: Option<&Layers>) -> Result<Vec<Violation>> {
    let modules = modules::read(root, package)?;
    let ties = ties::all(&modules);
    let mut violations = match layers {
        Some(layers) => layers.violations(&modules, &ties),
        None => Vec::new(),
    };
    violations.extend(circles::of_files(&modules, &ties));
    violations.extend(circles::of_folders(&modules, &ties));
    violations.extend(sizes::violations(root, package)?);
    Ok(violations)
}
