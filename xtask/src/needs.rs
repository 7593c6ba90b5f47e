//! What a machine lacks for a purpose, and the steps that change this.

use anyhow::{Result, bail};

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
pub(crate) const TESTS: [&str; 11] = [
    "procps",
    "qemu-system-x86",
    "seabios",
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
pub(crate) const PROGRAMS: [&str; 10] = [
    "qemu-system-x86_64",
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
}

/// The Debian packages for a purpose.
pub(crate) fn packages(purpose: Purpose) -> Vec<&'static str> {
    let mut packages = COMPILER.to_vec();
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
    install.retain(|package| packages(purpose).contains(package));
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
            missing: packages(Purpose::Test),
            rustup: Some(Rustup::default()),
            linker: false,
            ..complete()
        };
        let expected = [
            Step::Packages(packages(Purpose::Test)),
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
        let missing = packages(Purpose::Test);
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
