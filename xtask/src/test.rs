//! Runs the tests: those of the code, then the scenarios on real kernels.

use std::{path::Path, process::Command};

use anyhow::Result;
use clap::Args;

use crate::{
    build, cargo, dist,
    host::{self, has, is_root},
    needs::Purpose,
    setup,
};

/// What the scenarios are told through the environment.
const VARIABLES: [&str; 9] = [
    "CTDROP_BIN",
    "CTDROP_TESTS_BIN",
    "CTDROP_PACKAGES",
    "CTDROP_KERNELS",
    "CTDROP_ALL",
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
    /// Only tests with this text in their name, such as `6.12::boots`
    filter: Option<String>,
}

/// Runs what the options select. A failed test is an error.
pub(crate) fn test(options: &Options) -> Result<()> {
    let purpose = if options.unit {
        Purpose::Build
    } else {
        Purpose::Test
    };
    setup::setup(purpose)?;
    eprintln!("test: unit tests");
    let mut units = cargo::cargo()?;
    units.args(["test", "--workspace"]).args(&options.filter);
    host::run(&mut units)?;
    if options.unit {
        return Ok(());
    }
    let (ctdrop, tests) = build::ctdrop_and_tests(build::Profile::Trial)?;
    eprintln!("test: preparing kernels and systems");
    prepare(&tests, &options.kernels)?;
    let packages = cargo::target()?.join("packages-under-test");
    dist::under_test(&ctdrop, &packages)?;
    eprintln!("test: scenarios, then tests of whole systems");
    host::run(scenarios(options, &ctdrop, &tests)?.env("CTDROP_PACKAGES", packages))
}

/// Has the images of these kernels made, so that no trial waits for a download.
fn prepare(tests: &Path, kernels: &[String]) -> Result<()> {
    if kernels == ["host"] {
        return Ok(());
    }
    let mut images = Command::new(tests);
    images.arg("images");
    for kernel in kernels.iter().filter(|kernel| *kernel != "host") {
        images.args(["--kernel", kernel]);
    }
    host::run(&mut images)
}

/// The command that runs the scenarios with these programs.
fn scenarios(options: &Options, ctdrop: &Path, tests: &Path) -> Result<Command> {
    let mut cargo = cargo::cargo()?;
    // The package alone would select other features of what it depends on, and all of that would
    // be built once more.
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(["--test", "kernels", "--test", "systems"])
        .args(["--test", "boot_scripts", "--test", "sysctl"])
        .args(["--test", "packaging", "--test", "rpm"])
        .args(&options.filter)
        .env("CTDROP_BIN", ctdrop)
        .env("CTDROP_TESTS_BIN", tests)
        .env("CTDROP_KERNELS", options.kernels.join(","))
        .env("CTDROP_VM_LOGS", cargo::target()?.join("vm-logs"));
    if options.all {
        cargo.env("CTDROP_ALL", "1");
    }
    if let Some(runner) = runner(is_root()?, has("sudo")?) {
        cargo.env(runner_variable(&cargo::host_triple()?), runner);
    }
    Ok(cargo)
}

/// How cargo has to start the scenarios so that they are root. Without any way
/// to become root those that need it are skipped, and say so.
fn runner(root: bool, sudo: bool) -> Option<String> {
    let kept = VARIABLES.join(",");
    (!root && sudo).then(|| format!("sudo --preserve-env={kept}"))
}

/// The variable by which cargo is told a runner for a target.
fn runner_variable(triple: &str) -> String {
    format!(
        "CARGO_TARGET_{}_RUNNER",
        triple.to_uppercase().replace(['-', '.'], "_")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_is_used_only_by_those_who_need_and_have_it() {
        assert!(
            runner(false, true)
                .unwrap()
                .starts_with("sudo --preserve-env=CTDROP_BIN,")
        );
        assert_eq!(runner(true, true), None);
        assert_eq!(runner(false, false), None);
    }

    #[test]
    fn the_variable_of_a_runner_is_spelled_as_cargo_wants() {
        let variable = runner_variable("x86_64-unknown-linux-gnu");
        assert_eq!(variable, "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER");
    }
}
