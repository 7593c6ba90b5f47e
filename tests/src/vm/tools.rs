//! The programs that guests use, with their libraries: this machine's, or those of Debian
//! packages where guests have another architecture.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{Hash as _, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{architecture::Architecture, command, elf::Elf, unpacked};

/// Programs that scenarios use.
pub(super) const SCENARIOS: &[&str] = &["nft", "ip", "conntrack", "kmod", "awk", "sysctl"];

/// The program that a guest needs to boot from a disk; the disk has its own.
pub(super) const DISK: &[&str] = &["kmod"];

/// Names under which kmod does the work of that name. The kernel itself calls
/// `/sbin/modprobe` when it wants a module.
pub(super) const KMOD_NAMES: [&str; 5] = ["modprobe", "lsmod", "rmmod", "insmod", "modinfo"];

/// The release that programs for another architecture are of.
const SUITE: &str = "bookworm";

/// Programs whose packages have another name, or that have another name in there.
const PACKAGES: [(&str, &str, &str); 5] = [
    ("nft", "nftables", "nft"),
    ("ip", "iproute2", "ip"),
    ("awk", "mawk", "mawk"),
    ("sysctl", "procps", "sysctl"),
    ("sh", "dash", "dash"),
];

/// Directories of programs and of libraries in unpacked packages.
const PROGRAMS: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];
const LIBRARIES: [&str; 4] = [
    "lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
];

/// Everything that a guest needs to run some programs.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// Where each file is in guests, and where it is here.
    files: BTreeMap<PathBuf, PathBuf>,
}

impl Tools {
    /// Finds programs for an architecture by their names.
    pub(super) fn find(architecture: Architecture, names: &[&str]) -> Result<Self> {
        if architecture != Architecture::HERE {
            return Self::of_packages(architecture, names);
        }
        let programs = names.iter().map(|name| command::find(name));
        let programs: Vec<_> = programs.collect::<Result<_>>()?;
        Self::of(&programs)
    }

    /// Programs at these paths of this machine, with their libraries.
    pub(super) fn of(programs: &[PathBuf]) -> Result<Self> {
        let mut tools = Self::default();
        for program in programs {
            let name = program.file_name().context("a program without a name")?;
            let inside = Path::new("/sbin").join(name);
            tools.files.insert(inside, program.clone());
            for library in libraries_of(program)? {
                tools.add(&library, &library);
            }
        }
        Ok(tools)
    }

    /// Programs of Debian packages, which are unpacked for this.
    fn of_packages(architecture: Architecture, names: &[&str]) -> Result<Self> {
        let sources = names.iter().map(|&name| {
            let known = PACKAGES.into_iter().find(|(program, ..)| *program == name);
            known.unwrap_or((name, name, name))
        });
        let packages: Vec<_> = sources.clone().map(|(_, package, _)| package).collect();
        let tree = unpacked::provide_for(architecture, SUITE, &packages)?;
        let mut tools = Self::default();
        for (name, _, file) in sources {
            let program = find_in(&tree, &PROGRAMS, file)?;
            tools.add_with_libraries(&tree, &program)?;
            tools.add(&Path::new("/sbin").join(name), &tree.join(program));
        }
        Ok(tools)
    }

    /// Adds a program or library of a tree with the loader and the libraries that it needs.
    fn add_with_libraries(&mut self, tree: &Path, file: &Path) -> Result<()> {
        let elf = Elf::read(&tree.join(file))?;
        if let Some(loader) = elf.loader {
            let here = tree.join(loader.trim_start_matches('/'));
            self.add(Path::new(&loader), &here);
        }
        for name in elf.needed {
            let library = find_in(tree, &LIBRARIES, &name)?;
            let inside = Path::new("/").join(&library);
            if !self.files.contains_key(&inside) {
                self.add(&inside, &tree.join(&library));
                self.add_with_libraries(tree, &library)?;
            }
        }
        Ok(())
    }

    /// Adds a file: where it is to be in guests, and where it is here.
    pub(super) fn add(&mut self, inside: &Path, here: &Path) {
        self.files.insert(inside.to_owned(), here.to_owned());
    }

    /// Feeds a number that changes with whatever this is.
    pub(super) fn hash(&self, hasher: &mut impl Hasher) -> Result<()> {
        for (inside, here) in &self.files {
            let content = fs::read(here);
            let content = content.with_context(|| format!("cannot read {}", here.display()))?;
            (inside, content).hash(hasher);
        }
        Ok(())
    }

    /// Where each file is in guests, and where it is here.
    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, &PathBuf)> {
        self.files.iter()
    }
}

/// The path of a file below a tree that has it in one of some directories. A link that leads
/// out of the tree, to the same program of this machine, is none.
fn find_in(tree: &Path, directories: &[&str], name: &str) -> Result<PathBuf> {
    let inside = |path: &PathBuf| {
        let file = tree.join(path);
        file.exists() && !file.read_link().is_ok_and(|target| target.is_absolute())
    };
    let mut paths = directories.iter().map(|it| Path::new(it).join(name));
    paths
        .find(inside)
        .with_context(|| format!("no {name} in {}", tree.display()))
}

/// The loader and the libraries that a program of this machine needs.
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
