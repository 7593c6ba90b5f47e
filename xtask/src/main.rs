//! Developer commands of this workspace: `cargo xtask --help`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use needs::Purpose;

mod bench;
mod build;
mod cargo;
mod check;
mod demo;
mod dist;
mod host;
mod licences;
mod needs;
mod picture;
mod run;
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
    },
    /// Build one static ctdrop; the last line is its path
    Build,
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
        Task::Setup { test } => setup::setup(if test { Purpose::Test } else { Purpose::Build }),
        Task::Build => {
            setup::setup(Purpose::Build)?;
            let ctdrop: PathBuf = build::ctdrop()?;
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
