//! Runs other programs and says what went wrong with them.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

/// Directories of system programs, which the PATH of ordinary users may lack.
const SYSTEM: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// Runs a program to its end and returns what it wrote to stdout.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed ({}): {}", output.status, errors.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} did not write UTF-8"))
}

/// The path of an installed program.
pub(super) fn find(program: &str) -> Result<PathBuf> {
    let path = env::var("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(env::split_paths(SYSTEM))
        .map(|directory| directory.join(program))
        .find(|candidate| is_executable(candidate))
        .with_context(|| format!("{program} is not installed: cargo xtask setup --test"))
}

/// Whether a path names a file that may be executed by someone.
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
