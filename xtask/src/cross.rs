//! Builds programs for another architecture than this machine's: Rust's own library for it,
//! and a compiler of C that links.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    architecture::Architecture,
    cargo,
    host::{self, answer, command, has, quietly},
    needs::TOOLCHAIN,
};

/// The Debian package with Rust's own library, and the one with the compiler that it fits.
const LIBRARY: &str = "libstd-rust-web-dev";
const COMPILER: &str = "rustc-web";

/// Where Rust's own library for an architecture is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// Where the user's compiler looks for it.
    OfCompiler,
    /// Debian's, in this directory, for Debian's compiler.
    Debian(PathBuf),
}

/// Looks for Rust's own library for an architecture; none if there is none.
pub(crate) fn library(architecture: Architecture) -> Result<Option<Library>> {
    let triple = architecture.triple();
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut ask = command(rustc)?;
    let own = answer(ask.args(["--print", "target-libdir", "--target", triple]));
    if Path::new(own.trim()).is_dir() {
        return Ok(Some(Library::OfCompiler));
    }
    let place = place(architecture)?;
    let unpacked = libraries(&place, architecture);
    Ok(unpacked.is_dir().then_some(Library::Debian(unpacked)))
}

/// Fetches Debian's and unpacks it where only these builds find it. It is of the very release
/// of the compiler, as it has to be.
pub(crate) fn fetch_library(architecture: Architecture) -> Result<()> {
    let place = place(architecture)?;
    let partial = place.with_added_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)
            .with_context(|| format!("cannot remove {}", partial.display()))?;
    }
    let apt = partial.join("apt");
    for directory in ["lists/partial", "cache/archives/partial"] {
        let path = apt.join(directory);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    quietly(apt_get(architecture, &apt)?.arg("update"))?;
    let package = format!("{LIBRARY}={}", version()?);
    quietly(apt_get(architecture, &apt)?.args(["download", &package]))?;
    for entry in fs::read_dir(&apt).with_context(|| format!("cannot read {}", apt.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            let mut dpkg = command("dpkg-deb")?;
            quietly(dpkg.arg("--extract").arg(&path).arg(&partial))?;
        }
    }
    let unpacked = libraries(&partial, architecture);
    ensure!(unpacked.is_dir(), "{package} has no {}", unpacked.display());
    fs::remove_dir_all(&apt).with_context(|| format!("cannot remove {}", apt.display()))?;
    fs::rename(&partial, &place).with_context(|| format!("cannot make {}", place.display()))
}

/// The cargo that builds for an architecture, and the flags of the compiler that it takes.
pub(crate) fn cargo(architecture: Architecture) -> Result<(Command, String)> {
    let (mut cargo, flags) = match library(architecture)? {
        Some(Library::OfCompiler) => (cargo::cargo()?, String::new()),
        Some(Library::Debian(place)) => (of_debian("cargo")?, format!("-L {}", place.display())),
        None => anyhow::bail!(
            "no Rust library for {0}: cargo xtask setup --target {0}",
            architecture.triple()
        ),
    };
    let name = architecture.triple().to_uppercase().replace('-', "_");
    let variable = format!("CARGO_TARGET_{name}_LINKER");
    if env::var_os(&variable).is_none() {
        cargo.env(variable, architecture.compiler());
    }
    Ok((cargo, flags))
}

/// The compiler that builds for an architecture.
pub(crate) fn rustc(architecture: Architecture) -> Result<Command> {
    match library(architecture)? {
        Some(Library::Debian(_)) => of_debian("rustc"),
        _ => command("rustc"),
    }
}

/// A program of Debian's compiler.
fn of_debian(program: &str) -> Result<Command> {
    let mut run = if has("rustup")? {
        let mut rustup = command("rustup")?;
        rustup.args(["run", TOOLCHAIN, program]);
        rustup
    } else {
        let mut run = command(Path::new("/usr/bin").join(program))?;
        run.env("EBPF_TOOLCHAIN", TOOLCHAIN);
        run
    };
    // Set by the cargo that runs this program, for its own tool chain.
    for variable in ["RUSTUP_TOOLCHAIN", "RUSTC", "CARGO"] {
        run.env_remove(variable);
    }
    run.current_dir(cargo::root()?);
    Ok(run)
}

/// The release of Debian's compiler.
fn version() -> Result<String> {
    let mut query = command("dpkg-query")?;
    let version = answer(query.args(["--show", "--showformat", "${Version}", COMPILER]));
    ensure!(!version.is_empty(), "{COMPILER} is not installed");
    Ok(version)
}

/// An apt that sees packages of an architecture alone, and nothing that is installed here. Its
/// lists are in a directory that it has to itself.
fn apt_get(architecture: Architecture, directory: &Path) -> Result<Command> {
    let at = |below: &str| directory.join(below).display().to_string();
    let mut apt_get = command("apt-get")?;
    apt_get.arg("-qq").current_dir(directory);
    for option in [
        format!("APT::Architecture={}", architecture.debian()),
        format!("APT::Architectures={}", architecture.debian()),
        format!("Dir::State::lists={}", at("lists")),
        "Dir::State::status=/dev/null".to_owned(),
        format!("Dir::Cache={}", at("cache")),
        // The directory is the user's, which a sandboxed user cannot write.
        "APT::Sandbox::User=root".to_owned(),
        "Acquire::Languages=none".to_owned(),
        "Acquire::Retries=3".to_owned(),
    ] {
        apt_get.args(["-o", &option]);
    }
    Ok(apt_get)
}

/// Where Debian's library is unpacked. It may be deleted at any time.
fn place(architecture: Architecture) -> Result<PathBuf> {
    let name = format!(
        "{}-{}",
        architecture.triple(),
        version().unwrap_or_default()
    );
    Ok(host::cache()?.join("rust").join(name))
}

/// The libraries in there.
fn libraries(place: &Path, architecture: Architecture) -> PathBuf {
    let triple = architecture.triple();
    place.join(format!("usr/lib/rustlib/{triple}/lib"))
}
