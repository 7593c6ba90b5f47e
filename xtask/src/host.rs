//! This machine: who runs here, what is installed, and how to run it.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Directories of system programs, which the PATH of ordinary users may lack.
const SYSTEM: &str = "/usr/sbin:/sbin";

/// The variable that tells where programs are, with cargo's own directory in
/// front, where bpf-linker is installed.
pub(crate) fn path() -> Result<std::ffi::OsString> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = env::var_os("HOME").map(PathBuf::from);
    let bin = cargo_home
        .or_else(|| Some(home?.join(".cargo")))
        .map(|cargo| cargo.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let system = env::split_paths(SYSTEM);
    env::join_paths(bin.into_iter().chain(env::split_paths(&path)).chain(system))
        .context("a directory in PATH has a colon in its name")
}

/// Where what was fetched is kept between builds and between clones:
/// `$XDG_CACHE_HOME/ctdrop`, by default `~/.cache/ctdrop`.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name| {
        let value = env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let base = base.context("no place to keep what is fetched: set HOME or XDG_CACHE_HOME")?;
    Ok(base.join("ctdrop"))
}

/// Whether a program is installed.
pub(crate) fn has(program: &str) -> Result<bool> {
    Ok(env::split_paths(&path()?).any(|directory| directory.join(program).is_file()))
}

/// Whether this process has the rights of root.
pub(crate) fn is_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self")
        .context("cannot read /proc/self: is /proc mounted?")?
        .uid()
        == 0)
}

/// A command that finds what cargo has installed.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new(program);
    command.env("PATH", path()?);
    Ok(command)
}

/// A command that runs as root, through sudo if this process is not root.
pub(crate) fn as_root(arguments: &[&str]) -> Result<Command> {
    if is_root()? {
        let mut root = command(arguments.first().context("no command to run as root")?)?;
        root.args(&arguments[1..]);
        return Ok(root);
    }
    if !has("sudo")? {
        bail!(
            "this needs root, and there is no sudo; run as root: {}",
            arguments.join(" ")
        );
    }
    let mut sudo = command("sudo")?;
    sudo.args(arguments);
    Ok(sudo)
}

/// Runs a command to its end as a step towards a result of this program, to
/// which stdout belongs: what the command prints goes to stderr.
pub(crate) fn step(command: &mut Command) -> Result<()> {
    run(command.stdout(Stdio::from(io::stderr())))
}

/// Runs a command to its end; a failure of it is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status();
    if !status
        .with_context(|| format!("cannot run {}", shown(command)))?
        .success()
    {
        bail!("failed: {}", shown(command));
    }
    Ok(())
}

/// Runs a command that prints much to its end, and shows it only on a failure.
pub(crate) fn quietly(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    if !output.status.success() {
        for text in [output.stdout, output.stderr] {
            eprint!("{}", String::from_utf8_lossy(&text));
        }
        bail!("failed: {}", shown(command));
    }
    Ok(())
}

/// What a command prints on stdout; empty if it cannot be run or fails, which is
/// an answer when one asks what is installed.
pub(crate) fn answer(command: &mut Command) -> String {
    let output = command.stderr(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
}

/// A command as a user would type it.
fn shown(command: &Command) -> String {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
