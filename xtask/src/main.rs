//! Developer commands of this workspace: `cargo xtask --help`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use architecture::Architecture;
use clap::{Parser, Subcommand};
use needs::Purpose;

mod architecture;
mod bench;
mod build;
mod cargo;
mod check;
mod cross;
mod demo;
mod dist;
mod host;
mod kernel_table;
mod licences;
mod needs;
mod picture;
mod run;
mod section;
mod setup;
mod structure;
mod test;

/// Developer commands of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Task {
    /// Install missing build dependencies
    Setup {
        /// Also those of the tests
        #[arg(long)]
        test: bool,
        /// Also what it takes to build for this target, such as aarch64-unknown-linux-gnu
        #[arg(long, value_name = "TRIPLE", value_parser = Architecture::parse)]
        target: Option<Architecture>,
    },
    /// Build one static ctdrop; the last line is its path
    Build {
        /// Build for this target, such as aarch64-unknown-linux-gnu
        #[arg(long, value_name = "TRIPLE", value_parser = Architecture::parse)]
        target: Option<Architecture>,
    },
    /// Build ctdrop and run it, as root
    Run {
        /// Arguments of ctdrop, such as `watch`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the unit tests, then every scenario on every kernel
    Test(test::Options),
    /// Show ctdrop at work in a virtual machine
    Demo {
        /// The kernel to boot
        #[arg(long, value_name = "NAME", default_value = "6.12")]
        kernel: String,
    },
    /// Draw docs/screen.svg: the live screen in a virtual machine
    Picture {
        /// The kernel to boot
        #[arg(long, value_name = "NAME", default_value = "6.12")]
        kernel: String,
    },
    /// Compare ctdrop with other programs, and write docs/benchmarks.md
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Make the packages, the image for containers and the archive that are released
    Dist(dist::Options),
    /// Check the licences of all dependencies, and their advisories
    Licences(licences::Options),
    /// Check the structure of the sources, licences, format, lints and documentation
    Check(check::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for.
fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup { test, target } => prepare(test, target),
        Task::Build { target } => {
            let other = target.and_then(Architecture::if_other);
            setup::setup_for(Purpose::Build, other)?;
            let ctdrop: PathBuf = build::ctdrop_for(other)?;
            println!("{}", ctdrop.display());
            Ok(())
        }
        Task::Run { arguments } => run::run(&arguments),
        Task::Test(options) => test::test(&options),
        Task::Demo { kernel } => demo::demo(&kernel),
        Task::Picture { kernel } => picture::picture(&kernel),
        Task::Bench(what) => bench::bench(&what),
        Task::Dist(options) => dist::dist(&options),
        Task::Licences(options) => licences::check(&options),
        Task::Check(options) => check::check(&options),
    }
}

/// Installs what building takes, or what the tests take: they try each architecture.
fn prepare(test: bool, target: Option<Architecture>) -> Result<()> {
    if !test {
        return setup::setup_for(Purpose::Build, target.and_then(Architecture::if_other));
    }
    Architecture::others().try_for_each(|other| setup::setup_for(Purpose::Test, Some(other)))
}
