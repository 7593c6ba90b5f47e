//! Builds static programs, which run on any host and as `/init` of a guest.

use std::{env, path::PathBuf};

use anyhow::Result;

use crate::{architecture::Architecture, cargo, cross, host};

/// How the programs are optimised; the profiles are in the workspace's Cargo.toml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As it is shipped.
    Release,
    /// Without optimisation across crates: built in less time.
    Trial,
}

impl Profile {
    /// Its name, and that of its directory.
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Trial => "trial",
        }
    }
}

/// Builds ctdrop as it is shipped, and returns its path.
pub(crate) fn ctdrop() -> Result<PathBuf> {
    ctdrop_for(None)
}

/// The same for another architecture, if there is one.
pub(crate) fn ctdrop_for(other: Option<Architecture>) -> Result<PathBuf> {
    Ok(programs(Profile::Release, &["conntrack-user"], other)?.join("ctdrop"))
}

/// Builds ctdrop and the program that tries it, and returns their paths.
pub(crate) fn ctdrop_and_tests(profile: Profile) -> Result<(PathBuf, PathBuf)> {
    ctdrop_and_tests_for(profile, None)
}

/// The same for another architecture, if there is one.
pub(crate) fn ctdrop_and_tests_for(
    profile: Profile,
    other: Option<Architecture>,
) -> Result<(PathBuf, PathBuf)> {
    let directory = programs(profile, &["conntrack-user", "ctdrop-tests"], other)?;
    Ok((directory.join("ctdrop"), directory.join("ctdrop-tests")))
}

/// Builds the programs of packages and returns the directory they are in. Only
/// with an explicit target do the flags leave build scripts alone.
fn programs(profile: Profile, packages: &[&str], other: Option<Architecture>) -> Result<PathBuf> {
    let triple = match other {
        Some(other) => other.triple().to_owned(),
        None => cargo::host_triple()?,
    };
    eprintln!("build: ctdrop with its eBPF programs for {triple}; the first build takes minutes");
    let (mut cargo, more) = match other {
        Some(other) => cross::cargo(other)?,
        None => (cargo::cargo()?, String::new()),
    };
    cargo.args(["build", "--profile", profile.name(), "--bins"]);
    cargo.args(["--target", &triple]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    let flags = static_flags(env::var("RUSTFLAGS").ok().as_deref());
    cargo.env("RUSTFLAGS", format!("{flags} {more}").trim_end());
    host::step(&mut cargo)?;
    Ok(cargo::target()?.join(triple).join(profile.name()))
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
