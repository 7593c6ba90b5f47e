//! Builds the eBPF programs, so that the object can be embedded.

use std::process::Command;

use anyhow::Result;
use aya_build::{Package, Toolchain, build_ebpf};

/// The tool chain that `cargo xtask setup` links where the distribution's
/// compiler is the one that can build for eBPF.
const LINKED: &str = "ctdrop-ebpf";

fn main() -> Result<()> {
    println!("cargo:rerun-if-env-changed=EBPF_TOOLCHAIN");
    let chosen = std::env::var("EBPF_TOOLCHAIN").ok();
    let toolchain = match chosen.as_deref() {
        Some(name) => Toolchain::Custom(name),
        None if is_linked() => Toolchain::Custom(LINKED),
        None => Toolchain::Nightly,
    };
    if matches!(toolchain, Toolchain::Custom(_)) {
        // SAFETY: a build script has one thread.
        // A stable compiler builds `core` for the eBPF target only with this.
        unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
    }
    let log: &[&str] = if cfg!(feature = "debug-log") {
        &["debug-log"]
    } else {
        &[]
    };
    build_ebpf(
        [Package {
            name: "conntrack-ebpf",
            root_dir: concat!(env!("CARGO_MANIFEST_DIR"), "/../conntrack-ebpf"),
            features: log,
            ..Package::default()
        }],
        toolchain,
    )
}

fn is_linked() -> bool {
    Command::new("rustup")
        .args(["run", LINKED, "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}
