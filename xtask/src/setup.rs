//! Installs what is missing. Silent when nothing is.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    architecture::Architecture,
    cargo, cross,
    host::{answer, as_root, command, has, quietly, step},
    needs::{self, COMPILER, Facts, LINKER, Other, PROGRAMS, Purpose, Rustup, Step, TOOLCHAIN},
};

/// Where Debian's LLVM 22 is.
const LLVM: &str = "/usr/lib/llvm-22";

/// Keeps packages from asking questions; sudo does not pass variables on.
const FRONTEND: &str = "DEBIAN_FRONTEND=noninteractive";

/// Prepares this machine for a purpose.
pub(crate) fn setup(purpose: Purpose) -> Result<()> {
    setup_for(purpose, None)
}

/// The same, and to build for another architecture, if there is one.
pub(crate) fn setup_for(purpose: Purpose, other: Option<Architecture>) -> Result<()> {
    let mut facts = gather(purpose, other)?;
    if !facts.unknown.is_empty() {
        eprintln!(
            "setup: apt-get update, because apt does not know {}",
            facts.unknown.join(" ")
        );
        update()?;
        facts = gather(purpose, other)?;
    }
    for next in needs::plan(&facts, purpose)? {
        take(&next)?;
    }
    Ok(())
}

/// Looks at what this machine has.
fn gather(purpose: Purpose, other: Option<Architecture>) -> Result<Facts> {
    let apt = has("apt-get")? && has("dpkg-query")?;
    let missing = if apt {
        missing(&needs::packages(purpose, other))?
    } else {
        Vec::new()
    };
    let unknown = if missing.is_empty() {
        Vec::new()
    } else {
        unknown(&missing)?
    };
    let distribution = apt && COMPILER.iter().all(|package| !missing.contains(package));
    let rustup = if has("rustup")? {
        Some(rustup(distribution)?)
    } else {
        None
    };
    let version = answer(command("bpf-linker")?.arg("--version"));
    let mut programs = Vec::new();
    for program in PROGRAMS {
        if !has(program)? {
            programs.push(program);
        }
    }
    Ok(Facts {
        apt,
        missing,
        unknown,
        rustup,
        linker: version.trim() == format!("bpf-linker {LINKER}"),
        lints: purpose != Purpose::Check || has_lints()?,
        programs,
        other: other.map(has_for).transpose()?,
    })
}

/// Looks at what this machine has to build for another architecture.
fn has_for(architecture: Architecture) -> Result<Other> {
    Ok(Other {
        architecture,
        library: cross::library(architecture)?.is_some(),
        compiler: has(architecture.compiler())?,
    })
}

/// Asks rustup what it has; for a nightly, which takes long, only where the
/// `distribution` has no compiler for eBPF.
fn rustup(distribution: bool) -> Result<Rustup> {
    let toolchains = answer(command("rustup")?.args(["toolchain", "list"]));
    let linked = toolchains
        .lines()
        .any(|line| line.split(' ').next() == Some(TOOLCHAIN));
    Ok(Rustup {
        linked,
        nightly: !distribution && has_nightly()?,
    })
}

/// The packages that are not installed.
fn missing(packages: &[&'static str]) -> Result<Vec<&'static str>> {
    let mut query = command("dpkg-query")?;
    query
        .args(["--show", "--showformat", "${db:Status-Abbrev} ${Package}\n"])
        .args(packages);
    let listing = answer(&mut query);
    let installed: BTreeSet<_> = listing
        .lines()
        .filter_map(|line| line.strip_prefix("ii"))
        .map(str::trim)
        .collect();
    Ok(packages
        .iter()
        .copied()
        .filter(|package| !installed.contains(package))
        .collect())
}

/// The packages that apt does not offer.
fn unknown(packages: &[&'static str]) -> Result<Vec<&'static str>> {
    let policy = answer(
        command("apt-cache")?
            .arg("policy")
            .args(packages)
            .env("LC_ALL", "C"),
    );
    let offered = offered(&policy);
    Ok(packages
        .iter()
        .copied()
        .filter(|package| !offered.contains(package))
        .collect())
}

/// The packages with a candidate in what `apt-cache policy` prints.
fn offered(policy: &str) -> BTreeSet<&str> {
    let mut package = "";
    let mut offered = BTreeSet::new();
    for line in policy.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
            package = name;
        } else if line
            .trim()
            .strip_prefix("Candidate: ")
            .is_some_and(|version| version != "(none)")
        {
            offered.insert(package);
        }
    }
    offered
}

/// Whether rustup has a nightly with the sources of `core`.
fn has_nightly() -> Result<bool> {
    let mut list = command("rustup")?;
    list.args(["component", "list", "--toolchain", "nightly", "--installed"]);
    Ok(answer(&mut list)
        .lines()
        .any(|component| component == "rust-src"))
}

/// Whether cargo can format and lint.
fn has_lints() -> Result<bool> {
    let runs = |tool: &str| -> Result<bool> {
        Ok(!answer(cargo::cargo()?.args([tool, "--version"])).is_empty())
    };
    Ok(runs("fmt")? && runs("clippy")?)
}

/// Takes one step, and says so before.
fn take(next: &Step) -> Result<()> {
    match next {
        Step::Packages(packages) => install(packages),
        Step::Link => {
            eprintln!("setup: linking /usr as the rustup tool chain {TOOLCHAIN}");
            step(command("rustup")?.args(["toolchain", "link", TOOLCHAIN, "/usr"]))
        }
        Step::Nightly => {
            eprintln!("setup: installing a nightly Rust with rust-src");
            let mut rustup = command("rustup")?;
            rustup.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
            step(rustup.args(["--component", "rust-src"]))
        }
        Step::Linker { debian } => {
            eprintln!("setup: installing bpf-linker {LINKER}, which takes some minutes");
            step(&mut linker(*debian)?).context(
                "bpf-linker has to be linked with an LLVM 22 or newer with headers: \
                 set LLVM_PREFIX to where it is",
            )
        }
        Step::Library {
            architecture,
            debian: true,
        } => {
            let triple = architecture.triple();
            eprintln!("setup: fetching Debian's Rust library for {triple}");
            cross::fetch_library(*architecture)
        }
        Step::Library { architecture, .. } => {
            let triple = architecture.triple();
            eprintln!("setup: installing the Rust library for {triple}");
            step(command("rustup")?.args(["target", "add", triple]))
        }
        Step::Components => {
            eprintln!("setup: installing rustfmt and clippy");
            step(command("rustup")?.args(["component", "add", "rustfmt", "clippy"]))
        }
    }
}

/// Makes apt's lists new.
fn update() -> Result<()> {
    quietly(&mut as_root(&["apt-get", "-qq", "update"])?)
}

/// Installs Debian packages; if that fails, again with new lists: old ones name
/// versions that the archive has no more.
fn install(packages: &[&str]) -> Result<()> {
    eprintln!("setup: installing Debian packages: {}", packages.join(" "));
    let install = [
        "env",
        FRONTEND,
        "apt-get",
        "-qq",
        "-y",
        "--no-install-recommends",
        "install",
    ];
    let install = [&install, packages].concat();
    if quietly(&mut as_root(&install)?).is_ok() {
        return Ok(());
    }
    eprintln!("setup: apt-get update, then a second attempt");
    update()?;
    quietly(&mut as_root(&install)?)
}

/// The command that installs bpf-linker.
fn linker(debian: bool) -> Result<Command> {
    let mut install = cargo::cargo()?;
    install.args([
        "install",
        "bpf-linker",
        "--version",
        LINKER,
        "--locked",
        "--force",
    ]);
    install.env_remove("RUSTFLAGS").current_dir("/");
    if debian {
        install
            .args(["--no-default-features", "--features", "llvm-22"])
            .env("LLVM_PREFIX", LLVM);
    }
    Ok(install)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_offered_if_it_has_a_candidate() {
        let policy = "\
rustc-web:
  Installed: (none)
  Candidate: 1.96.0+dfsg1-1~deb12u2
  Version table:
     1.96.0+dfsg1-1~deb12u2 500
        500 http://mirror.example.org/debian bookworm/main amd64 Packages
g++:
  Installed: (none)
  Candidate: (none)
";
        assert_eq!(offered(policy), ["rustc-web"].into());
        assert_eq!(offered(""), BTreeSet::new());
    }
}
