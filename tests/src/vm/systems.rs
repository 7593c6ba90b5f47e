//! The Debian releases whose systems are booted from a disk.

use anyhow::{Context as _, Result};

/// A Debian release with its own systemd, procps, kmod and iptables, on its own
/// kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct System {
    /// What tests and commands call it.
    pub name: &'static str,
    /// The suite of the archive that it is made from.
    pub suite: &'static str,
    /// The package that stands for its newest kernel.
    pub kernel: &'static str,
    /// The name under which the packages of that kernel are kept.
    pub packages: &'static str,
}

/// All systems, oldest first.
pub const ALL: &[System] = &[
    System {
        name: "debian12",
        suite: "bookworm",
        kernel: "linux-image-amd64",
        packages: "6.1",
    },
    System {
        name: "debian13",
        suite: "trixie",
        kernel: "linux-image-amd64",
        packages: "trixie",
    },
];

/// The system of that name.
pub fn find(name: &str) -> Result<&'static System> {
    ALL.iter()
        .find(|system| system.name == name)
        .with_context(|| {
            let names: Vec<_> = ALL.iter().map(|system| system.name).collect();
            format!("no system {name}: there are {}", names.join(", "))
        })
}
