//! A Debian system on a disk image, made once: what a minimal installation has and
//! the programs that set the limit, nothing of the build under test.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    apt,
    architecture::Architecture,
    cache, command, image, initramfs, modules,
    systems::System,
    tools::{self, Tools},
};

/// Number of what this file makes; a change of it remakes every disk.
const LAYOUT: u32 = 3;

/// Packages beside those of a minimal system.
const PACKAGES: &str =
    "systemd,systemd-sysv,udev,procps,kmod,iptables,nftables,conntrack,iproute2,attr,acl";

/// What no program reads, and most of the disk would be.
const EXCLUDED: [&str; 3] = [
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
];

/// Size of the disk; what is empty takes no room in the image.
const SIZE: &str = "1G";

/// Names the machine, so that no boot counts as its first one, at which systemd
/// would enable services that the release ships disabled.
const MACHINE: &str = "637464726f702d746573740000000001\n";

/// Files by whose age systemd knows that it has nothing to do after an update.
const UPDATED: [&str; 2] = ["etc/.updated", "var/.updated"];

/// A bootable system in the cache.
#[derive(Debug)]
pub struct Disk {
    /// Its directory.
    directory: PathBuf,
}

impl Disk {
    /// Provides the disk of a system: makes it if this has never been done, which
    /// takes root.
    pub fn provide(system: &System) -> Result<Self> {
        let packages = image::packages(
            &system.packages(),
            Architecture::HERE,
            system.suite,
            &System::kernel(),
        )?;
        let tools = Tools::find(Architecture::HERE, tools::DISK)?;
        let key = key(system, &packages, &tools)?;
        let systems = cache::root()?.join("systems");
        let directory = systems.join(format!("{}-{key:016x}", system.name));
        cache::provide(&directory, |directory| {
            make(system, &packages, &tools, directory)
        })?;
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

    /// Copies the disk; what is empty takes no room in the copy, either.
    pub fn copy(&self, to: &Path) -> Result<()> {
        let mut copy = Command::new("cp");
        copy.args(["--sparse=always", "--reflink=auto", "--"]);
        command::output(copy.arg(self.image()).arg(to)).map(drop)
    }

    /// The disk that is never booted from itself.
    fn image(&self) -> PathBuf {
        self.directory.join("disk.ext4")
    }
}

/// A number that changes with whatever a disk is made of.
fn key(system: &System, packages: &[PathBuf], tools: &Tools) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for package in packages {
        package.file_name().hash(&mut hasher);
    }
    if !system.more.is_empty() {
        system.more.hash(&mut hasher);
    }
    (system.suite, PACKAGES, EXCLUDED, SIZE, MACHINE, LAYOUT).hash(&mut hasher);
    modules::SCENARIOS.text().hash(&mut hasher);
    modules::DISK.text().hash(&mut hasher);
    initramfs::LAYOUT.hash(&mut hasher);
    tools.hash(&mut hasher)?;
    Ok(hasher.finish())
}

/// Fills the directory of a disk.
fn make(system: &System, packages: &[PathBuf], tools: &Tools, directory: &Path) -> Result<()> {
    let root_user = fs::metadata("/proc/self").context("cannot read /proc/self")?;
    ensure!(
        root_user.uid() == 0,
        "only root can make the disk of {}, whose files belong to it: sudo",
        system.name
    );
    let [all, boot, root] = ["all", "boot", "root"].map(|name| directory.join(name));
    let release = image::extract(packages, &all)?;
    fs::rename(image::vmlinuz(&all, &release)?, directory.join("vmlinuz"))?;
    modules::select(&all, &boot, &release, &modules::DISK)?;
    initramfs::write_base(&boot, tools, &directory.join("base.cpio"))?;
    install(system, &root)?;
    for wanted in [modules::DISK, modules::SCENARIOS] {
        modules::select(&all, &root, &release, &wanted)?;
    }
    settle(system, &root)?;
    let mut mke2fs = Command::new(command::find("mke2fs")?);
    mke2fs.args(["-q", "-t", "ext4", "-J", "size=8", "-d"]);
    mke2fs.arg(&root).arg(directory.join("disk.ext4"));
    command::output(mke2fs.arg(SIZE))?;
    for tree in [all, boot, root] {
        cache::remove(&tree)?;
    }
    Ok(())
}

/// Installs a minimal system with the programs that set the limit.
fn install(system: &System, root: &Path) -> Result<()> {
    let sources = root.with_added_extension("list");
    fs::write(&sources, apt::sources(Architecture::HERE, system.suite)?)
        .with_context(|| format!("cannot write {}", sources.display()))?;
    let mut mmdebstrap = Command::new(command::find("mmdebstrap")?);
    mmdebstrap.args(["--mode=root", "--variant=minbase", "--format=directory"]);
    mmdebstrap.arg(format!("--include={PACKAGES}"));
    if !system.more.is_empty() {
        mmdebstrap.arg(format!("--include={}", system.more));
    }
    // The image is finished only when this is; until then nothing need be on disk.
    mmdebstrap.arg("--dpkgopt=force-unsafe-io");
    mmdebstrap.arg("--aptopt=Acquire::Retries \"3\"");
    for path in EXCLUDED {
        mmdebstrap.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    mmdebstrap.arg(system.suite).arg(root).arg(&sources);
    command::output(&mut mmdebstrap)
        .with_context(|| format!("cannot install Debian {}", system.suite))?;
    fs::remove_file(&sources).with_context(|| format!("cannot remove {}", sources.display()))
}

/// Gives the system names of its own, where those of this machine came along, and
/// makes it one that has been booted before.
fn settle(system: &System, root: &Path) -> Result<()> {
    let hosts = format!("127.0.0.1 localhost {}\n::1 localhost\n", system.name);
    for (path, text) in [
        ("etc/hostname", format!("{}\n", system.name)),
        ("etc/hosts", hosts),
        ("etc/machine-id", MACHINE.to_owned()),
        ("etc/resolv.conf", String::new()),
        (UPDATED[0], String::new()),
        (UPDATED[1], String::new()),
    ] {
        let path = root.join(path);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
