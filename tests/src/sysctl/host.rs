//! A directory with a program, files of sysctls that it reads, and plain files in the
//! place of what it sets.

use std::{
    fmt,
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::{
    program::{Kind, Program},
    writes::{self, NAMES, Written},
};
use crate::vm::unpacked;

/// Directories that files of sysctls are in.
pub const DIRECTORIES: [&str; 5] = [
    "etc/sysctl.d",
    "run/sysctl.d",
    "usr/local/lib/sysctl.d",
    "usr/lib/sysctl.d",
    "lib/sysctl.d",
];

/// The file that was the only one once.
pub const CONF: &str = "etc/sysctl.conf";

/// What is at a path.
#[derive(Clone)]
pub enum Kept {
    /// A file with this in it.
    File(Vec<u8>),
    /// A link.
    Link(&'static str),
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(content) => write!(f, "\"{}\"", content.escape_ascii()),
            Self::Link(to) => write!(f, "link to {to}"),
        }
    }
}

/// Files of sysctls by their paths, without a slash before them.
pub type Tree = Vec<(String, Kept)>;

/// What every host has that ctdrop asks about: a kernel with conntrack built in.
const FACTS: [(&str, &str); 4] = [
    ("proc/sys/kernel/osrelease", "6.18.44\n"),
    ("proc/meminfo", "MemTotal: 16000000 kB\n"),
    ("sys/module/nf_conntrack/parameters/hashsize", "262144\n"),
    // In the place of the device.
    ("dev/null", ""),
];

/// A directory with a program.
#[derive(Debug)]
pub struct Host {
    directory: TempDir,
    kind: Kind,
    /// Whether `/lib` is a link to `/usr/lib`.
    merged: bool,
}

impl Host {
    /// Makes a directory with a program of its own.
    pub fn new(program: &Program) -> Result<Self> {
        let unpacked = unpacked::provide(program.suite.0, program.kind.package())?;
        let directory = tempfile::tempdir().context("cannot create a directory")?;
        // Nobody but root is to write, so that busybox makes no file of a wrong name.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--reflink=auto"])
            .arg(unpacked.join("."))
            .arg(directory.path());
        ensure!(
            copy.status()?.success(),
            "cannot copy {}",
            unpacked.display()
        );
        let host = Self {
            merged: directory.path().join("lib").is_symlink(),
            directory,
            kind: program.kind,
        };
        for (path, text) in FACTS {
            host.write(path, text.as_bytes())?;
        }
        let release = format!("ID=debian\nVERSION_ID=\"{}\"\n", program.suite.1);
        host.write("etc/os-release", release.as_bytes())?;
        match host.kind {
            // Then System V init starts the script of procps.
            Kind::Procps => host.write("sbin/init", b"")?,
            Kind::Systemd => {}
            Kind::Busybox => {
                // Its package has none, and /sbin may be a link to this one.
                let programs = host.root().join("usr/sbin");
                fs::create_dir_all(&programs)
                    .with_context(|| format!("cannot create {}", programs.display()))?;
                host.write("sbin/openrc", b"")?;
                symlink("/bin/busybox", host.root().join("sbin/sysctl"))
                    .context("cannot link sysctl to busybox")?;
            }
        }
        for name in NAMES {
            let path = format!("proc/sys/{name}");
            host.write(&path, b"262144\n")?;
            fs::set_permissions(host.root().join(path), Permissions::from_mode(0o666))?;
        }
        Ok(host)
    }

    /// The directory, which is a root for ctdrop, too.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        let path = self.root().join(path);
        let cannot = || format!("cannot write {}", path.display());
        fs::create_dir_all(path.parent().with_context(cannot)?).with_context(cannot)?;
        fs::write(&path, content).with_context(cannot)
    }

    /// Puts files of sysctls in the place of those that are there.
    pub fn put(&self, tree: &Tree) -> Result<()> {
        for directory in DIRECTORIES {
            remove(&self.root().join(directory))?;
            fs::create_dir_all(self.root().join(directory))?;
        }
        remove(&self.root().join(CONF))?;
        for (path, kept) in tree {
            let at = self.root().join(path);
            match kept {
                // The same directory by another name.
                _ if self.merged && path.starts_with("lib/") => {}
                Kept::File(content) => self.write(path, content)?,
                Kept::Link(to) => {
                    symlink(to, &at).with_context(|| format!("cannot make {path}"))?;
                }
            }
        }
        Ok(())
    }

    /// Runs the program, which gives the texts that it writes to the limit.
    pub fn run(&self) -> Result<Vec<Written>> {
        let mut command = Command::new("chroot");
        command.arg("--userspec=65534:65534").arg(self.root());
        match self.kind {
            Kind::Procps => {
                command.args(["/sbin/sysctl", "--system"]);
            }
            Kind::Systemd => {
                command.arg(self.systemd_sysctl()?);
            }
            Kind::Busybox => {
                command.args(["/bin/busybox", "sysctl", "-p"]);
                let files = self.files_of_busybox()?;
                if files.is_empty() {
                    return Ok(Vec::new());
                }
                command.args(files);
            }
        }
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SYSTEMD_LOG_LEVEL", "debug")
            .env("SYSTEMD_LOG_TARGET", "console")
            .env("SYSTEMD_LOG_COLOR", "0");
        let output = command.output().context("cannot run chroot")?;
        ensure!(
            !matches!(output.status.code(), None | Some(125..=127)),
            "{command:?}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let said = match self.kind {
            Kind::Systemd => output.stderr,
            Kind::Procps | Kind::Busybox => output.stdout,
        };
        Ok(writes::of(self.kind, &said))
    }

    fn systemd_sysctl(&self) -> Result<&'static str> {
        let paths = [
            "/usr/lib/systemd/systemd-sysctl",
            "/lib/systemd/systemd-sysctl",
        ];
        let is_there = |path: &&&str| self.root().join(&path[1..]).exists();
        let found = paths.iter().find(is_there);
        found.copied().context("the package has no systemd-sysctl")
    }

    /// The files that `OpenRC` gives to busybox, which are none without
    /// `/etc/sysctl.conf` (`init.d/sysctl.in: Linux_BusyBox_sysctl`).
    fn files_of_busybox(&self) -> Result<Vec<PathBuf>> {
        if !self.root().join(CONF).exists() {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(self.root().join(DIRECTORIES[0]))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let path = format!("{}/{name}", DIRECTORIES[0]);
            let usual = name.strip_suffix(".conf").is_some() && !name.starts_with('.');
            if usual && self.root().join(&path).exists() {
                files.push(Path::new("/").join(path));
            }
        }
        files.sort();
        files.insert(0, Path::new("/").join(CONF));
        Ok(files)
    }
}

/// Removes what is at a path.
fn remove(path: &Path) -> Result<()> {
    let gone = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    gone.with_context(|| format!("cannot remove {}", path.display()))
}
