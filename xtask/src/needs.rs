//! What a machine lacks for a purpose, and the steps that change this.

use anyhow::{Result, bail};

use crate::architecture::Architecture;

/// The rustup name of the distribution's compiler; conntrack-user/build.rs
/// looks for it.
pub(crate) const TOOLCHAIN: &str = "ctdrop-ebpf";

/// The release of bpf-linker that fits LLVM 22, which the compilers here have.
pub(crate) const LINKER: &str = "0.13.0";

/// Debian packages with a compiler for eBPF, its sources, and the LLVM that
/// bpf-linker is linked with; g++ brings the library that LLVM is written with.
pub(crate) const COMPILER: [&str; 5] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "llvm-22-dev",
    "g++",
];

/// The Debian package with lints for that compiler.
pub(crate) const LINTS: [&str; 1] = ["rust-web-clippy"];

/// Debian packages for tests in virtual machines and network namespaces, of the live screen in a
/// terminal, and of the page of a report in a browser.
pub(crate) const TESTS: [&str; 12] = [
    "procps",
    "qemu-system-x86",
    "seabios",
    "qemu-system-arm",
    "nftables",
    "iproute2",
    "conntrack",
    "kmod",
    "tmux",
    "mmdebstrap",
    "e2fsprogs",
    "chromium",
];

/// Debian packages whose programs do what ctdrop does, as far as they can, or redraw a terminal
/// as its live screen does.
pub(crate) const PEERS: [&str; 3] = ["bpftrace", "dropwatch", "htop"];

/// The programs that the tests use; the last four fetch and unpack kernels, and make
/// disks with Debian systems.
pub(crate) const PROGRAMS: [&str; 11] = [
    "qemu-system-x86_64",
    "qemu-system-aarch64",
    "nft",
    "ip",
    "conntrack",
    "tmux",
    "depmod",
    "apt-get",
    "dpkg-deb",
    "mmdebstrap",
    "mke2fs",
];

/// What a machine is prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building.
    Build,
    /// Building and linting.
    Check,
    /// Building and running every test.
    Test,
    /// Building and running benches beside other programs.
    Bench,
}

/// Another architecture that is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    /// Which one.
    pub(crate) architecture: Architecture,
    /// Whether there is Rust's own library for it.
    pub(crate) library: bool,
    /// Whether there is a compiler of C for it.
    pub(crate) compiler: bool,
}

/// What a machine has and has not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Whether apt installs packages here.
    pub(crate) apt: bool,
    /// Debian packages that are not installed.
    pub(crate) missing: Vec<&'static str>,
    /// Those of them that apt does not offer.
    pub(crate) unknown: Vec<&'static str>,
    /// What rustup has, if it is there.
    pub(crate) rustup: Option<Rustup>,
    /// Whether the right bpf-linker runs.
    pub(crate) linker: bool,
    /// Whether cargo can format and lint.
    pub(crate) lints: bool,
    /// [`PROGRAMS`] that are not there.
    pub(crate) programs: Vec<&'static str>,
    /// Another architecture, if one is built for.
    pub(crate) other: Option<Other>,
}

/// What rustup has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rustup {
    /// Whether it knows the distribution's compiler as [`TOOLCHAIN`].
    pub(crate) linked: bool,
    /// Whether it has a nightly with the sources of `core`.
    pub(crate) nightly: bool,
}

/// One step towards a machine that has everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Install Debian packages.
    Packages(Vec<&'static str>),
    /// Make rustup know the distribution's compiler.
    Link,
    /// Install a nightly compiler with the sources of `core`.
    Nightly,
    /// Install bpf-linker, linked with Debian's LLVM or with any.
    Linker {
        /// Whether it is Debian's.
        debian: bool,
    },
    /// Install rustfmt and clippy.
    Components,
    /// Get Rust's own library for another architecture: Debian's, or rustup's.
    Library {
        /// Which architecture.
        architecture: Architecture,
        /// Whether it is Debian's.
        debian: bool,
    },
}

/// The Debian packages for a purpose, and for another architecture if one is built for.
pub(crate) fn packages(purpose: Purpose, other: Option<Architecture>) -> Vec<&'static str> {
    let mut packages = COMPILER.to_vec();
    packages.extend(other.into_iter().flat_map(Architecture::compiler_packages));
    match purpose {
        Purpose::Build => {}
        Purpose::Check => packages.extend(LINTS),
        Purpose::Test => packages.extend(TESTS),
        Purpose::Bench => packages.extend(TESTS.into_iter().chain(PEERS)),
    }
    packages
}

/// The steps that are left to do, in order; an error if they do not suffice.
pub(crate) fn plan(facts: &Facts, purpose: Purpose) -> Result<Vec<Step>> {
    let offered = |package: &&str| !facts.unknown.contains(package);
    let debian = facts.apt && COMPILER.iter().all(offered);
    let mut install = facts.missing.clone();
    let other = facts.other.map(|other| other.architecture);
    install.retain(|package| packages(purpose, other).contains(package));
    if !debian {
        install.retain(|package| !COMPILER.contains(package) && !LINTS.contains(package));
    }
    install.retain(offered);
    let mut steps = Vec::new();
    if !install.is_empty() {
        steps.push(Step::Packages(install.clone()));
    }
    match facts.rustup {
        Some(rustup) if debian && !rustup.linked => steps.push(Step::Link),
        Some(rustup) if !debian && !rustup.nightly => steps.push(Step::Nightly),
        None if !debian => bail!(
            "no compiler for eBPF: install rustup (https://rustup.rs), or use a Debian whose apt \
             offers {}",
            COMPILER.join(" ")
        ),
        _ => {}
    }
    if !facts.linker {
        steps.push(Step::Linker { debian });
    }
    if let Some(other) = facts.other {
        steps.extend(for_other(other, facts, debian)?);
    }
    if purpose == Purpose::Check && !facts.lints {
        if facts.rustup.is_none() {
            bail!("cargo fmt or cargo clippy is missing: install rustfmt and clippy");
        }
        steps.push(Step::Components);
    }
    let tests = matches!(purpose, Purpose::Test | Purpose::Bench);
    if tests && (!facts.apt || !TESTS.iter().all(offered)) {
        let programs = &facts.programs;
        if !programs.is_empty() {
            bail!(
                "the tests need programs that are not installed: {}",
                programs.join(", ")
            );
        }
    }
    Ok(steps)
}

/// The step that is left to do for another architecture; an error if it does not suffice.
fn for_other(other: Other, facts: &Facts, debian: bool) -> Result<Option<Step>> {
    let architecture = other.architecture;
    let compiler = architecture.compiler();
    let packages = architecture.compiler_packages();
    let offered = facts.apt && packages.iter().all(|it| !facts.unknown.contains(it));
    if !other.compiler && !offered {
        bail!(
            "{compiler} is not installed: it links programs for {}",
            architecture.triple()
        );
    }
    if other.library {
        return Ok(None);
    }
    if !debian && facts.rustup.is_none() {
        bail!(
            "no Rust library for {}: install rustup (https://rustup.rs), or a package with it",
            architecture.triple()
        );
    }
    Ok(Some(Step::Library {
        architecture,
        debian,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Debian with rustup and everything else.
    fn complete() -> Facts {
        Facts {
            apt: true,
            rustup: Some(Rustup {
                linked: true,
                nightly: false,
            }),
            linker: true,
            lints: true,
            ..Facts::default()
        }
    }

    #[test]
    fn a_complete_machine_has_nothing_to_do() {
        for purpose in [Purpose::Build, Purpose::Check, Purpose::Test] {
            assert_eq!(plan(&complete(), purpose).unwrap(), []);
        }
    }

    #[test]
    fn a_new_debian_gets_packages_then_the_link_then_the_linker() {
        let facts = Facts {
            missing: packages(Purpose::Test, None),
            rustup: Some(Rustup::default()),
            linker: false,
            ..complete()
        };
        let expected = [
            Step::Packages(packages(Purpose::Test, None)),
            Step::Link,
            Step::Linker { debian: true },
        ];
        assert_eq!(plan(&facts, Purpose::Test).unwrap(), expected);
        let Step::Packages(build) = &plan(&facts, Purpose::Build).unwrap()[0] else {
            panic!()
        };
        assert_eq!(build, &COMPILER, "a build needs no virtual machines");
    }

    #[test]
    fn a_debian_without_rustup_needs_no_link() {
        let facts = Facts {
            rustup: None,
            ..complete()
        };
        assert_eq!(plan(&facts, Purpose::Build).unwrap(), []);
    }

    #[test]
    fn an_apt_that_does_not_offer_the_compiler_leaves_it_to_rustup() {
        let missing = packages(Purpose::Test, None);
        let facts = Facts {
            missing,
            unknown: vec!["rustc-web"],
            linker: false,
            rustup: Some(Rustup::default()),
            ..complete()
        };
        let expected = [
            Step::Packages(TESTS.to_vec()),
            Step::Nightly,
            Step::Linker { debian: false },
        ];
        assert_eq!(plan(&facts, Purpose::Test).unwrap(), expected);
    }

    #[test]
    fn elsewhere_rustup_does_it_all() {
        let facts = Facts {
            apt: false,
            rustup: Some(Rustup::default()),
            linker: false,
            ..complete()
        };
        let expected = [Step::Nightly, Step::Linker { debian: false }];
        assert_eq!(plan(&facts, Purpose::Build).unwrap(), expected);
        let facts = Facts {
            rustup: Some(Rustup {
                linked: false,
                nightly: true,
            }),
            linker: true,
            ..facts
        };
        assert_eq!(plan(&facts, Purpose::Build).unwrap(), []);
    }

    #[test]
    fn a_machine_that_cannot_be_prepared_is_told_what_is_missing() {
        let facts = Facts {
            apt: false,
            rustup: None,
            ..complete()
        };
        let error = plan(&facts, Purpose::Build).unwrap_err().to_string();
        assert!(
            error.contains("rustup") && error.contains("rustc-web"),
            "{error}"
        );
        let facts = Facts {
            apt: false,
            rustup: Some(Rustup {
                linked: false,
                nightly: true,
            }),
            programs: vec!["nft", "apt-get"],
            ..complete()
        };
        let error = plan(&facts, Purpose::Test).unwrap_err().to_string();
        assert!(error.ends_with("nft, apt-get"), "{error}");
        assert_eq!(plan(&facts, Purpose::Build).unwrap(), []);
    }

    #[test]
    fn another_architecture_takes_a_compiler_of_c_and_a_library() {
        let other = Other {
            architecture: Architecture::Arm64,
            library: false,
            compiler: false,
        };
        let compiler = Architecture::Arm64.compiler_packages();
        let facts = Facts {
            missing: compiler.to_vec(),
            other: Some(other),
            ..complete()
        };
        let library = |debian| Step::Library {
            architecture: Architecture::Arm64,
            debian,
        };
        let expected = [Step::Packages(compiler.to_vec()), library(true)];
        assert_eq!(plan(&facts, Purpose::Build).unwrap(), expected);
        assert_eq!(plan(&complete(), Purpose::Build).unwrap(), []);

        let elsewhere = Facts {
            apt: false,
            missing: Vec::new(),
            rustup: Some(Rustup {
                linked: false,
                nightly: true,
            }),
            ..facts
        };
        let error = plan(&elsewhere, Purpose::Build).unwrap_err().to_string();
        assert!(error.contains("aarch64-linux-gnu-gcc is not"), "{error}");
        let other = Other {
            compiler: true,
            ..other
        };
        let elsewhere = Facts {
            other: Some(other),
            ..elsewhere
        };
        let steps = plan(&elsewhere, Purpose::Build).unwrap();
        assert_eq!(steps, [library(false)]);
    }

    #[test]
    fn only_a_check_needs_lints() {
        let facts = Facts {
            lints: false,
            ..complete()
        };
        assert_eq!(plan(&facts, Purpose::Check).unwrap(), [Step::Components]);
        assert_eq!(plan(&facts, Purpose::Test).unwrap(), []);
        assert!(
            plan(
                &Facts {
                    rustup: None,
                    ..facts
                },
                Purpose::Check
            )
            .is_err()
        );
    }
}
