//! Checks the licences of everything that this workspace builds with, and, with a
//! copy of the RustSec database, its advisories.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::{architecture::Architecture, cargo};

mod advisories;
mod allowed;
pub(crate) mod dependency;
mod lock;
pub(crate) mod native;
pub(crate) mod notice;

/// Options of `cargo xtask licences`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Also hold Cargo.lock against the advisories in this copy of
    /// <https://github.com/RustSec/advisory-db>; nothing is fetched
    #[arg(long, value_name = "DIR")]
    advisories: Option<PathBuf>,
}

/// Checks what the options ask for. What was found is printed, and is an error.
pub(crate) fn check(options: &Options) -> Result<()> {
    of_dependencies()?;
    match &options.advisories {
        Some(database) => advisories::check(database, &cargo::root()?.join("Cargo.lock")),
        None => Ok(()),
    }
}

/// Checks the licence of each dependency, also of those that only tests and builds
/// need.
pub(crate) fn of_dependencies() -> Result<()> {
    let (mut refused, mut count) = (Vec::new(), 0);
    for architecture in Architecture::ALL {
        let graph = dependency::read(cargo::root()?, architecture.triple())?;
        refused.extend(allowed::refused(graph.shipped().into_iter()));
        refused.extend(allowed::refused_everywhere(graph.all()));
        count = count.max(graph.all().count());
    }
    refused.sort();
    refused.dedup();
    for refusal in &refused {
        eprintln!("{refusal}");
    }
    ensure!(
        refused.is_empty(),
        "{} of {count} dependencies have no licence that xtask/src/licences/allowed.rs allows",
        refused.len()
    );
    eprintln!("licences: {count} dependencies, all allowed");
    Ok(())
}
