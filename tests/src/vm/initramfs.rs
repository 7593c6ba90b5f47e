//! The initial file system of a guest: a base that is the same for all
//! scenarios, followed by the two binaries under test.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};

use super::{
    binaries::Binaries,
    cpio::Archive,
    tools::{KMOD_NAMES, Tools},
};
use crate::stage::places::CTDROP;

/// Number of this file's layout; a change of it remakes every cached image.
pub(super) const LAYOUT: u32 = 1;

/// Small files that the programs in a guest look up names in. nft resolves
/// protocols through the C library.
const NAMES: [(&str, &str); 3] = [
    ("/etc/nsswitch.conf", "protocols: files\nhosts: files\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    (
        "/etc/protocols",
        "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\ndccp 33 DCCP\ngre 47 GRE\nesp 50 ESP\n\
         ah 51 AH\nipv6-icmp 58 IPv6-ICMP icmpv6\nsctp 132 SCTP\nudplite 136 UDPLite\n",
    ),
];

/// Directories that file systems are mounted on, or that programs expect.
const DIRECTORIES: [&str; 9] = [
    "dev",
    "etc/modprobe.d",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "var/lib",
    "var/log",
];

/// Writes the base with the modules below `modules` and this machine's `tools`.
pub(super) fn write_base(modules: &Path, tools: &Tools, to: &Path) -> Result<()> {
    let mut archive = Archive::new(create(to)?);
    for directory in DIRECTORIES {
        archive.directory(directory)?;
    }
    archive.character_device("/dev/console", 5, 1)?;
    for (path, text) in NAMES {
        archive.file(path, 0o644, text.as_bytes())?;
    }
    add_tools(&mut archive, tools)?;
    for name in KMOD_NAMES {
        archive.symlink(&format!("/sbin/{name}"), "kmod")?;
    }
    add_tree(&mut archive, modules, "")?;
    archive.finish()?;
    Ok(())
}

/// Writes a complete file system: the base, over it the binaries, more of this
/// machine's `tools`, and `files` with their paths and contents.
pub(super) fn write(
    base: &Path,
    binaries: &Binaries,
    tools: &Tools,
    files: &[(String, &[u8])],
    to: &Path,
) -> Result<()> {
    let mut out = create(to)?;
    let mut base_file =
        File::open(base).with_context(|| format!("cannot open {}", base.display()))?;
    io::copy(&mut base_file, &mut out).with_context(|| format!("cannot write {}", to.display()))?;
    let mut archive = Archive::new(out);
    add_file(&mut archive, &binaries.init, "/init")?;
    add_file(&mut archive, &binaries.ctdrop, CTDROP)?;
    add_tools(&mut archive, tools)?;
    // Leads nowhere unless there is one among the tools.
    archive.symlink("/bin/sh", "/sbin/sh")?;
    for (path, content) in files {
        archive.file(path, 0o644, content)?;
    }
    archive.finish()?;
    Ok(())
}

/// Adds programs and the libraries that they need.
fn add_tools<W: Write>(archive: &mut Archive<W>, tools: &Tools) -> Result<()> {
    for (inside, here) in tools.files() {
        add_file(archive, here, &inside.to_string_lossy())?;
    }
    Ok(())
}

/// Creates a file to write an archive to.
fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(BufWriter::new(file))
}

/// Adds the file `from`, or what it links to, under the name `to`.
fn add_file<W: Write>(archive: &mut Archive<W>, from: &Path, to: &str) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let mode = fs::metadata(from)?.permissions().mode() & 0o777;
    archive.file(to, mode, &content)?;
    Ok(())
}

/// Adds the files below the directory `from`, in the order of their names.
fn add_tree<W: Write>(archive: &mut Archive<W>, from: &Path, to: &str) -> Result<()> {
    let entries = from
        .read_dir()
        .with_context(|| format!("cannot read {}", from.display()))?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let (path, inside) = (from.join(&name), format!("{to}/{}", name.to_string_lossy()));
        if path.is_dir() {
            add_tree(archive, &path, &inside)?;
        } else {
            add_file(archive, &path, &inside)?;
        }
    }
    Ok(())
}
