//! Checks structure, licences, format, lints and documentation, for user space and for eBPF.

use std::{env, path::PathBuf, process::Command};

use anyhow::Result;
use clap::Args;

use crate::{
    cargo,
    host::{self, command, has},
    licences,
    needs::{Purpose, TOOLCHAIN},
    setup, structure,
};

/// The target of the programs; lints do not depend on its byte order.
const TARGET: &str = "bpfel-unknown-none";

/// Options of `cargo xtask check`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only the structure: layers, circles and sizes, which needs no build
    #[arg(long)]
    structure: bool,
    /// Check the structure of the workspace in this directory instead
    #[arg(long, value_name = "DIR", requires = "structure")]
    workspace: Option<PathBuf>,
}

/// Runs every check that the options select; the first that fails ends it.
pub(crate) fn check(options: &Options) -> Result<()> {
    eprintln!("check: structure");
    structure::check(options.workspace.as_deref().unwrap_or(cargo::root()?))?;
    if options.structure {
        return Ok(());
    }
    setup::setup(Purpose::Check)?;
    eprintln!("check: licences");
    licences::of_dependencies()?;
    eprintln!("check: format");
    host::run(cargo::cargo()?.args(["fmt", "--all", "--check"]))?;
    eprintln!("check: lints");
    let mut clippy = cargo::cargo()?;
    clippy.args(["clippy", "--workspace", "--all-targets"]);
    host::run(clippy.args(["--", "-D", "warnings"]))?;
    eprintln!("check: lints of the eBPF programs");
    host::run(&mut ebpf_clippy()?)?;
    eprintln!("check: documentation");
    let mut doc = cargo::cargo()?;
    doc.args([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    host::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Clippy for the programs, by the tool chain that builds them.
fn ebpf_clippy() -> Result<Command> {
    let mut clippy = if has("rustup")? {
        let mut rustup = command("rustup")?;
        rustup.args(["run", ebpf_toolchain()?, "cargo"]);
        rustup
    } else {
        command("cargo")?
    };
    clippy
        .args([
            "clippy",
            "--package",
            "conntrack-ebpf",
            "--bins",
            "--lib",
            "--release",
        ])
        .args([
            "--target",
            TARGET,
            "-Z",
            "build-std=core",
            "--",
            "-D",
            "warnings",
        ])
        .current_dir(cargo::root()?)
        // A stable compiler builds `core` only with this.
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!("--cfg\u{1f}bpf_target_arch=\"{}\"", env::consts::ARCH),
        )
        // Set by the cargo that runs this program, for its own tool chain.
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC")
        .env_remove("CARGO");
    Ok(clippy)
}

/// The rustup name of the tool chain that builds the programs.
fn ebpf_toolchain() -> Result<&'static str> {
    let linked =
        !host::answer(command("rustup")?.args(["run", TOOLCHAIN, "rustc", "-V"])).is_empty();
    Ok(if linked { TOOLCHAIN } else { "nightly" })
}
