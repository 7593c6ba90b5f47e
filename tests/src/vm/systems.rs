//! The Debian releases whose systems are booted from a disk.

use anyhow::{Context as _, Result};

use super::architecture::Architecture;

/// A Debian release with its own systemd, procps, kmod and iptables, on its own
/// kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct System {
    /// What tests and commands call it.
    pub name: &'static str,
    /// The suite of the archive that it is made from.
    pub suite: &'static str,
    /// The name under which the packages of its kernel for x86-64 are kept.
    packages: &'static str,
    /// Packages beside those that every system has, separated by commas.
    pub more: &'static str,
}

/// All systems, oldest first.
pub const ALL: &[System] = &[
    System {
        name: "debian12",
        suite: "bookworm",
        packages: "6.1",
        more: "",
    },
    System {
        name: "debian13",
        suite: "trixie",
        packages: "trixie",
        more: "",
    },
];

/// The newest one with an engine of containers, for the story of these alone.
pub static WITH_PODMAN: System = System {
    name: "debian13-podman",
    suite: "trixie",
    packages: "trixie",
    more: "podman,crun,busybox-static",
};

impl System {
    /// The package that stands for the newest kernel of a release.
    pub fn kernel() -> String {
        format!("linux-image-{}", Architecture::HERE.debian())
    }

    /// The name under which the packages of that kernel are kept.
    pub fn packages(&self) -> String {
        match Architecture::HERE {
            Architecture::X86_64 => self.packages.to_owned(),
            Architecture::Arm64 => format!("{}-arm64", self.packages),
        }
    }
}

/// The system of that name.
pub fn find(name: &str) -> Result<&'static System> {
    ALL.iter()
        .chain([&WITH_PODMAN])
        .find(|system| system.name == name)
        .with_context(|| {
            let names: Vec<_> = ALL.iter().map(|system| system.name).collect();
            format!("no system {name}: there are {}", names.join(", "))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::kernels;

    #[test]
    fn a_name_means_one_system_and_no_kernel() {
        for system in ALL {
            assert_eq!(find(system.name).unwrap(), system);
            assert!(kernels::find(system.name).is_err());
        }
        let error = find("debian4").unwrap_err().to_string();
        assert!(error.ends_with("there are debian12, debian13"), "{error}");
    }

    #[test]
    fn packages_of_two_kernels_are_not_kept_under_one_name() {
        let kernels = kernels::ALL.iter();
        let kept = kernels.map(|kernel| {
            let source = (kernel.suite, kernel.package.to_owned());
            (kernel.name.to_owned(), source)
        });
        let mut kept: std::collections::BTreeMap<_, _> = kept.collect();
        for system in ALL {
            let source = (system.suite, System::kernel());
            let kept = kept.entry(system.packages());
            assert_eq!(*kept.or_insert_with(|| source.clone()), source);
        }
    }
}
