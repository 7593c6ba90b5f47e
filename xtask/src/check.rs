//! Checks format, lints and documentation, for user space and for eBPF.

use std::process::Command;

use anyhow::Result;

use crate::{
    cargo,
    host::{self, command, has},
    needs::{Purpose, TOOLCHAIN},
    setup,
};

/// The target of the programs; lints do not depend on its byte order.
const TARGET: &str = "bpfel-unknown-none";

/// Runs every check; the first that fails ends it.
pub(crate) fn check() -> Result<()> {
    setup::setup(Purpose::Check)?;
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
            "--cfg\u{1f}bpf_target_arch=\"x86_64\"",
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
