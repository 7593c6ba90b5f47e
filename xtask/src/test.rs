//! Runs the tests: those of the code, then the scenarios on real kernels.

use std::{
    collections::BTreeMap,
    io::BufReader,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Message, TargetKind};
use clap::Args;

use crate::{
    architecture::Architecture,
    build, cargo, dist,
    host::{self, command, has, is_root},
    kernel_table,
    needs::Purpose,
    setup,
};

/// The tests of the package of that name which run after the others, in this order.
const PACKAGE: &str = "tests";
const TRIALS: [&str; 6] = [
    "kernels",
    "systems",
    "boot_scripts",
    "sysctl",
    "packaging",
    "rpm",
];

/// What the scenarios are told through the environment.
const VARIABLES: [&str; 10] = [
    "CTDROP_BIN",
    "CTDROP_TESTS_BIN",
    "CTDROP_PACKAGES",
    "CTDROP_KERNELS",
    "CTDROP_ALL",
    "CTDROP_GOLDENS",
    "CTDROP_VM_LOGS",
    "HOME",
    "XDG_CACHE_HOME",
    "RUST_BACKTRACE",
];

/// Options of `cargo xtask test`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only the unit tests: no root, no virtual machines
    #[arg(long)]
    unit: bool,
    /// Only on this kernel, on `host`, or on a system such as `debian12`; may be
    /// repeated
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// Run every scenario on every kernel with every backend (takes more than twice as
    /// long); by default only the newest kernel has them, without those that take minutes, and
    /// other kernels have what finds most
    #[arg(long)]
    all: bool,
    /// Write what each backend does on the kernels that ran into the table of
    /// docs/kernels.md; with `--all` or `--kernel`
    #[arg(long, conflicts_with = "unit")]
    table: bool,
    /// Only tests with this text in their name, such as `6.12::boots`
    filter: Option<String>,
}

/// Runs what the options select. A failed test is an error.
pub(crate) fn test(options: &Options) -> Result<()> {
    let others = if options.unit {
        setup::setup(Purpose::Build)?;
        Vec::new()
    } else {
        setup::setup(Purpose::Test)?;
        others(&options.kernels)
    };
    for &other in &others {
        setup::setup_for(Purpose::Test, Some(other))?;
    }
    eprintln!("test: unit tests");
    let mut units = cargo::cargo()?;
    units.args(["test", "--workspace"]).args(&options.filter);
    host::run(&mut units)?;
    if options.unit {
        return Ok(());
    }
    let (ctdrop, tests) = build::ctdrop_and_tests(build::Profile::Trial)?;
    for other in others {
        // The tests find them beside these.
        build::ctdrop_and_tests_for(build::Profile::Trial, Some(other))?;
    }
    eprintln!("test: preparing kernels and systems");
    prepare(&tests, options)?;
    let packages = cargo::target()?.join("packages-under-test");
    dist::under_test(&ctdrop, &packages)?;
    let consoles = cargo::target()?.join("vm-logs");
    kernel_table::begin(&consoles)?;
    eprintln!("test: scenarios, then tests of whole systems");
    let executables = executables()?;
    let mut failed = Vec::new();
    for name in TRIALS {
        let executable = executables.get(name);
        let executable = executable.with_context(|| format!("cargo has not built test {name}"))?;
        eprintln!("test: {name}");
        let mut trials = trials(options, executable)?;
        trials
            .env("CTDROP_BIN", &ctdrop)
            .env("CTDROP_TESTS_BIN", &tests)
            .env("CTDROP_PACKAGES", &packages);
        if let Err(error) = host::run(&mut trials) {
            eprintln!("test: {error:#}");
            failed.push(name);
        }
    }
    let table = kernel_table::end(&consoles, &kernels(&tests)?, options.table);
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    table
}

/// The names of all kernels.
fn kernels(tests: &Path) -> Result<Vec<String>> {
    let list = host::answer(Command::new(tests).arg("list"));
    let kernels = list.lines().filter_map(|line| line.strip_prefix("kernel "));
    let names = kernels.filter_map(|line| line.split_whitespace().next());
    let names: Vec<_> = names.map(str::to_owned).collect();
    ensure!(!names.is_empty(), "{} lists no kernel", tests.display());
    Ok(names)
}

/// The architectures besides this machine's of these kernels, or of all.
fn others(kernels: &[String]) -> Vec<Architecture> {
    let is_tried = |&other: &Architecture| {
        let guests = kernels.iter().filter(|kernel| *kernel != "host");
        let mut architectures = guests.map(|kernel| Architecture::of_kernel(kernel));
        kernels.is_empty() || architectures.any(|it| it == other)
    };
    Architecture::others().filter(is_tried).collect()
}

/// Has the images of these kernels made, so that no trial waits for a download.
fn prepare(tests: &Path, options: &Options) -> Result<()> {
    let kernels = &options.kernels;
    if *kernels == ["host"] {
        return Ok(());
    }
    let mut images = Command::new(tests);
    images.arg("images");
    if options.all {
        images.env("CTDROP_ALL", "1");
    }
    for kernel in kernels.iter().filter(|kernel| *kernel != "host") {
        images.args(["--kernel", kernel]);
    }
    host::run(&mut images)
}

/// The executables of the tests in [`PACKAGE`], by name. They were built with the unit tests. To
/// select them for cargo would select other features of the dependencies, and build all of these
/// once more.
fn executables() -> Result<BTreeMap<String, PathBuf>> {
    let mut build = cargo::cargo()?;
    build.args(["test", "--workspace", "--no-run"]);
    build.args(["--message-format", "json-render-diagnostics"]);
    let mut build = build.stdout(Stdio::piped()).spawn()?;
    let messages = build.stdout.take().context("the messages of cargo")?;
    let directory = cargo::root()?.join(PACKAGE);
    let mut executables = BTreeMap::new();
    for message in Message::parse_stream(BufReader::new(messages)) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.manifest_path.starts_with(&directory)
            && artifact.target.kind.contains(&TargetKind::Test)
            && let Some(executable) = artifact.executable
        {
            executables.insert(artifact.target.name, executable.into());
        }
    }
    ensure!(build.wait()?.success(), "cargo cannot build the tests");
    Ok(executables)
}

/// The command that runs one of the tests, as root if there is a way.
fn trials(options: &Options, executable: &Path) -> Result<Command> {
    let sudo = sudo(is_root()?, has("sudo")?);
    let mut words = sudo
        .into_iter()
        .map(PathBuf::from)
        .chain([executable.to_owned()]);
    let mut trials = command(words.next().context("no program")?)?;
    trials
        .args(words)
        .args(&options.filter)
        .current_dir(cargo::root()?.join(PACKAGE))
        .env("CTDROP_KERNELS", options.kernels.join(","))
        .env("CTDROP_VM_LOGS", cargo::target()?.join("vm-logs"));
    if options.all {
        trials.env("CTDROP_ALL", "1");
    }
    Ok(trials)
}

/// What starts the scenarios as root. Without any way to become root those that need it are
/// skipped, and say so.
fn sudo(root: bool, sudo: bool) -> Vec<String> {
    let kept = VARIABLES.join(",");
    if root || !sudo {
        return Vec::new();
    }
    vec!["sudo".to_owned(), format!("--preserve-env={kept}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_is_used_only_by_those_who_need_and_have_it() {
        let used = sudo(false, true);
        assert_eq!(used[0], "sudo");
        assert!(used[1].starts_with("--preserve-env=CTDROP_BIN,"));
        assert!(sudo(true, true).is_empty());
        assert!(sudo(false, false).is_empty());
    }
}
