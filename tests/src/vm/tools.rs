//! The programs of this machine that guests use, with their libraries.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use super::command;

/// Programs that scenarios use.
pub(super) const SCENARIOS: &[&str] = &["nft", "ip", "conntrack", "kmod", "awk", "sysctl"];

/// The program that a guest needs to boot from a disk; the disk has its own.
pub(super) const DISK: &[&str] = &["kmod"];

/// Names under which kmod does the work of that name. The kernel itself calls
/// `/sbin/modprobe` when it wants a module.
pub(super) const KMOD_NAMES: [&str; 5] = ["modprobe", "lsmod", "rmmod", "insmod", "modinfo"];

/// Everything that a guest needs to run programs of this machine.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// Paths of the programs here; guests have them in `/sbin`.
    pub(super) programs: Vec<PathBuf>,
    /// Paths of loader, libraries and their data, the same in guests.
    pub(super) libraries: BTreeSet<PathBuf>,
}

impl Tools {
    /// Finds programs of this machine by their names.
    pub(super) fn find(names: &[&str]) -> Result<Self> {
        let programs: Vec<_> = names
            .iter()
            .map(|name| command::find(name))
            .collect::<Result<_>>()?;
        Self::of(programs)
    }

    /// Programs at these paths, with their libraries.
    pub(super) fn of(programs: Vec<PathBuf>) -> Result<Self> {
        let mut libraries = BTreeSet::new();
        for program in &programs {
            libraries.append(&mut libraries_of(program)?);
        }
        Ok(Self {
            programs,
            libraries,
        })
    }

    /// Paths of all files, programs first.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.programs.iter().chain(&self.libraries)
    }
}

/// Demands that a program runs without any file beside it.
pub(super) fn ensure_static(program: &Path) -> Result<()> {
    ensure!(
        program.exists(),
        "{} does not exist: cargo xtask build",
        program.display()
    );
    ensure!(
        libraries_of(program)?.is_empty(),
        "{} is not linked statically, so that it cannot run in a guest: cargo xtask test",
        program.display()
    );
    Ok(())
}

/// The loader and the libraries that a program needs.
fn libraries_of(program: &Path) -> Result<BTreeSet<PathBuf>> {
    // ldd fails on a static program, so that its exit code says nothing.
    let output = Command::new("ldd")
        .arg(program)
        .env("LC_ALL", "C")
        .output()?;
    Ok(libraries(&String::from_utf8_lossy(&output.stdout)))
}

/// The paths in what ldd prints.
fn libraries(ldd: &str) -> BTreeSet<PathBuf> {
    let path = |line: &str| {
        let found = line.split_once(" => ").map_or(line, |(_, path)| path);
        let path = found.split_whitespace().next()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    ldd.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                   \tlibmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x00007f1)\n\
                   \tlibgone.so.1 => not found\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f2)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libmnl.so.0",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries(ldd), expected.map(PathBuf::from).into());
        assert_eq!(libraries("\tstatically linked\n"), BTreeSet::new());
        assert_eq!(libraries("\tnot a dynamic executable\n"), BTreeSet::new());
    }
}
