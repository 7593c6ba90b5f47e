//! Calls cargo for this workspace.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    host::{answer, command, has},
    needs::TOOLCHAIN,
};

/// The directory of the workspace.
pub(crate) fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask is not in a workspace")
}

/// Where cargo builds.
pub(crate) fn target() -> Result<PathBuf> {
    let chosen = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    Ok(root()?.join(chosen.unwrap_or_else(|| "target".into())))
}

/// The cargo that runs this program, or the user's.
pub(crate) fn cargo() -> Result<Command> {
    let mut cargo = command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))?;
    cargo.current_dir(root()?);
    if !has("rustup")? {
        // Any name makes conntrack-user/build.rs use the compiler that there is.
        cargo.env("EBPF_TOOLCHAIN", TOOLCHAIN);
    }
    Ok(cargo)
}

/// The target triple of this machine, such as `x86_64-unknown-linux-gnu`.
pub(crate) fn host_triple() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let about = answer(command(rustc)?.arg("-vV"));
    triple(&about)
        .map(str::to_owned)
        .context("rustc -vV does not name its host")
}

/// The host in what `rustc -vV` prints.
fn triple(about: &str) -> Option<&str> {
    about.lines().find_map(|line| line.strip_prefix("host: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_triple_is_read_from_rustc() {
        let about =
            "rustc 1.95.0\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        assert_eq!(triple(about), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(triple("rustc 1.95.0"), None);
    }
}
