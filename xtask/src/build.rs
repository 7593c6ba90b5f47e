//! Builds static programs, which run on any host and as `/init` of a guest.

use std::{env, path::PathBuf};

use anyhow::Result;

use crate::{cargo, host};

/// Builds ctdrop and returns its path.
pub(crate) fn ctdrop() -> Result<PathBuf> {
    Ok(release(&["conntrack-user"])?.join("ctdrop"))
}

/// Builds ctdrop and the program that tries it, and returns their paths.
pub(crate) fn ctdrop_and_tests() -> Result<(PathBuf, PathBuf)> {
    let directory = release(&["conntrack-user", "ctdrop-tests"])?;
    Ok((directory.join("ctdrop"), directory.join("ctdrop-tests")))
}

/// Builds the programs of packages and returns the directory they are in. Only
/// with an explicit target do the flags leave build scripts alone.
fn release(packages: &[&str]) -> Result<PathBuf> {
    eprintln!("build: ctdrop with its eBPF programs; the first build takes minutes");
    let triple = cargo::host_triple()?;
    let mut cargo = cargo::cargo()?;
    cargo.args(["build", "--release", "--bins", "--target", &triple]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    cargo.env(
        "RUSTFLAGS",
        static_flags(env::var("RUSTFLAGS").ok().as_deref()),
    );
    host::step(&mut cargo)?;
    Ok(cargo::target()?.join(triple).join("release"))
}

/// The user's compiler flags and the one that links the C library statically.
fn static_flags(flags: Option<&str>) -> String {
    format!(
        "{} -C target-feature=+crt-static",
        flags.unwrap_or_default()
    )
    .trim_start()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_flags_are_kept() {
        assert_eq!(static_flags(None), "-C target-feature=+crt-static");
        assert_eq!(
            static_flags(Some("-Dwarnings")),
            "-Dwarnings -C target-feature=+crt-static"
        );
    }
}
