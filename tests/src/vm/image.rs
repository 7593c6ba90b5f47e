//! A kernel made ready to boot: its `vmlinuz` and the part of the initial file
//! system that no scenario changes.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    apt::{Apt, packages_in},
    architecture::Architecture,
    cache, command, initramfs,
    kernels::Kernel,
    modules,
    tools::{self, Tools},
};

/// A bootable kernel in the cache.
#[derive(Debug)]
pub struct Image {
    /// Its directory.
    directory: PathBuf,
}

impl Image {
    /// Provides the image of a kernel: downloads it if this has never been done,
    /// unpacks it if what guests need from it or from this machine has changed.
    pub fn provide(kernel: &Kernel) -> Result<Self> {
        let root = cache::root()?;
        let packages = packages(
            kernel.image(),
            kernel.architecture,
            kernel.suite,
            kernel.package,
        )?;
        let tools = Tools::find(kernel.architecture, tools::SCENARIOS)?;
        let key = key(&packages, &tools)?;
        let directory = root
            .join("images")
            .join(format!("{}-{key:016x}", kernel.image()));
        cache::provide(&directory, |directory| unpack(&packages, &tools, directory))?;
        Ok(Self { directory })
    }

    /// The compressed kernel.
    pub fn kernel(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// The initial file system without the binaries under test.
    pub fn base(&self) -> PathBuf {
        self.directory.join("base.cpio")
    }

    /// Modules that were wanted and that this kernel does not have.
    pub fn missing(&self) -> Result<String> {
        let path = self.directory.join("missing");
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// The packages of the newest kernel that `package` stands for in `suite`, downloaded
/// under `name` if this has never been done.
pub(super) fn packages(
    name: &str,
    architecture: Architecture,
    suite: &str,
    package: &str,
) -> Result<Vec<PathBuf>> {
    let download = cache::root()?.join("packages").join(name);
    cache::provide(&download, |directory| {
        Apt::open(architecture, suite)?.download(package, directory)
    })?;
    packages_in(&download)
}

/// A number that changes with whatever an image is made of. A standard library
/// that hashes otherwise costs one more unpacking.
fn key(packages: &[PathBuf], tools: &Tools) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for package in packages {
        package.file_name().hash(&mut hasher);
    }
    modules::SCENARIOS.text().hash(&mut hasher);
    initramfs::LAYOUT.hash(&mut hasher);
    tools.hash(&mut hasher)?;
    Ok(hasher.finish())
}

/// Fills the directory of an image.
fn unpack(packages: &[PathBuf], tools: &Tools, directory: &Path) -> Result<()> {
    let (all, chosen) = (directory.join("all"), directory.join("chosen"));
    let release = extract(packages, &all)?;
    fs::rename(vmlinuz(&all, &release)?, directory.join("vmlinuz"))?;
    let missing = modules::select(&all, &chosen, &release, &modules::SCENARIOS)?;
    fs::write(directory.join("missing"), missing.join(" "))?;
    initramfs::write_base(&chosen, tools, &directory.join("base.cpio"))?;
    cache::remove(&all)?;
    cache::remove(&chosen)
}

/// Unpacks a kernel's packages into a directory, with the modules in `lib/modules`,
/// and returns the kernel's release.
pub(super) fn extract(packages: &[PathBuf], all: &Path) -> Result<String> {
    for package in packages {
        let mut dpkg = Command::new("dpkg-deb");
        command::output(dpkg.arg("--extract").arg(package).arg(all))?;
    }
    let merged = all.join("usr/lib/modules");
    if merged.exists() {
        fs::create_dir_all(all.join("lib"))?;
        fs::rename(&merged, all.join("lib/modules"))?;
    }
    release(all)
}

/// The release, such as `6.1.0-56-amd64`, of the one kernel in unpacked packages.
fn release(unpacked: &Path) -> Result<String> {
    let modules = unpacked.join("lib/modules");
    let mut entries = modules
        .read_dir()
        .with_context(|| format!("no modules in {}", modules.display()))?;
    let entry = entries
        .next()
        .context("the kernel's packages have no modules")??;
    entry
        .file_name()
        .into_string()
        .ok()
        .context("the kernel release is not UTF-8")
}

/// The compressed kernel in unpacked packages: in /boot, or with the modules.
pub(super) fn vmlinuz(unpacked: &Path, release: &str) -> Result<PathBuf> {
    let places = [
        format!("boot/vmlinuz-{release}"),
        format!("lib/modules/{release}/vmlinuz"),
    ];
    let mut paths = places.into_iter().map(|place| unpacked.join(place));
    paths
        .find(|path| path.exists())
        .with_context(|| format!("no vmlinuz of kernel {release}"))
}
