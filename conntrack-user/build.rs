//! Builds the eBPF programs, so that the object can be embedded.

use std::process::Command;

use anyhow::Result;
use aya_build::{Package, Toolchain, build_ebpf};

/// The tool chain that `cargo xtask setup` links where the distribution's
/// compiler is the one that can build for eBPF.
const LINKED: &str = "ctdrop-ebpf";

/// What keeps the cargo that builds the programs from telling its progress, of
/// which aya-build makes a warning a line. Errors and warnings of the compiler
/// are told all the same.
const QUIET: [(&str, &str); 2] = [
    ("CARGO_TERM_QUIET", "true"),
    // The user's own `verbose` would contradict it.
    ("CARGO_TERM_VERBOSE", "false"),
];

fn main() -> Result<()> {
    println!("cargo:rerun-if-env-changed=EBPF_TOOLCHAIN");
    let chosen = std::env::var("EBPF_TOOLCHAIN").ok();
    let toolchain = match chosen.as_deref() {
        Some(name) => Toolchain::Custom(name),
        None if is_linked() => Toolchain::Custom(LINKED),
        None => Toolchain::Nightly,
    };
    if matches!(toolchain, Toolchain::Custom(_)) {
        // A stable compiler builds `core` for the eBPF target only with this.
        set("RUSTC_BOOTSTRAP", "1");
    }
    for (name, value) in QUIET {
        set(name, value);
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

/// Sets a variable for the programs that aya-build runs.
fn set(name: &str, value: &str) {
    // SAFETY: a build script has one thread.
    unsafe { std::env::set_var(name, value) };
}

fn is_linked() -> bool {
    Command::new("rustup")
        .args(["run", LINKED, "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}
