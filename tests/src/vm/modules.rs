//! Chooses the kernel modules that go into a guest, with all they need.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::command;

/// Modules to choose, with all that they need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Directories of the module tree that anything may be autoloaded from.
    directories: &'static [&'static str],
    /// Modules outside of these directories. A kernel may have some of them built
    /// in, or not at all.
    names: &'static [&'static str],
}

/// What scenarios need.
pub(super) const SCENARIOS: Wanted = Wanted {
    directories: &[
        "kernel/net/netfilter/",
        "kernel/net/ipv4/netfilter/",
        "kernel/net/ipv6/netfilter/",
        "kernel/net/bridge/netfilter/",
    ],
    names: &[
        "af_packet",
        "br_netfilter",
        "bridge",
        "crc32c_generic",
        "crc32c_intel",
        "drop_monitor",
        "dummy",
        "libcrc32c",
        "macvlan",
        "sch_netem",
        "sch_tbf",
        "sctp",
        "tun",
        "veth",
        "vrf",
    ],
};

/// What a guest needs to boot from a disk, and for the port of its agent.
pub(super) const DISK: Wanted = Wanted {
    directories: &[],
    names: &[
        "crc32c_generic",
        "ext4",
        "virtio_blk",
        "virtio_console",
        "virtio_pci",
    ],
};

impl Wanted {
    /// The text that decides the choice, for the key of a cached image.
    pub(super) fn text(&self) -> String {
        [self.directories, self.names].concat().join(" ")
    }
}

/// Index files that `depmod` reads, as the package ships them.
const INDICES: [&str; 3] = [
    "modules.order",
    "modules.builtin",
    "modules.builtin.modinfo",
];

/// What was chosen from a module tree.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    /// Paths of module files below the tree, in order.
    files: BTreeSet<String>,
    /// The names that this kernel has neither as a module nor built in.
    missing: Vec<&'static str>,
}

/// Copies what guests need from the unpacked package `from` to `to`, both with
/// `lib/modules/RELEASE` below them, and indexes it. Returns the missing names.
pub(super) fn select(
    from: &Path,
    to: &Path,
    release: &str,
    wanted: &Wanted,
) -> Result<Vec<&'static str>> {
    if !from
        .join("lib/modules")
        .join(release)
        .join("modules.dep")
        .exists()
    {
        depmod(from, release)?;
    }
    let tree = |base: &Path| base.join("lib/modules").join(release);
    let (from, tree_to) = (tree(from), tree(to));
    let text = |index| {
        let path = from.join(index);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let Choice { files, missing } =
        choose(&text("modules.dep")?, &text("modules.builtin")?, wanted);
    ensure!(
        !files.is_empty(),
        "none of the wanted modules in {}",
        from.display()
    );
    for file in files.iter().map(String::as_str).chain(INDICES) {
        copy(&from.join(file), &tree_to.join(file))?;
    }
    depmod(to, release)?;
    Ok(missing)
}

/// Chooses by the text of `modules.dep` and `modules.builtin`.
fn choose(dependencies: &str, builtin: &str, wanted: &Wanted) -> Choice {
    let modules: BTreeMap<&str, Vec<&str>> = dependencies
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(module, needs)| (module, needs.split_whitespace().collect()))
        .collect();
    let mut choice = Choice::default();
    // `modules.dep` lists the dependencies of dependencies too.
    for (module, needs) in &modules {
        let inside = |directory: &&str| module.starts_with(directory);
        if wanted.directories.iter().any(inside) || wanted.names.contains(&name(module).as_str()) {
            choice
                .files
                .extend(needs.iter().chain([module]).map(|&file| file.to_owned()));
        }
    }
    let known: BTreeSet<_> = modules
        .keys()
        .copied()
        .chain(builtin.lines())
        .map(name)
        .collect();
    choice.missing = wanted
        .names
        .iter()
        .copied()
        .filter(|&name| !known.contains(name))
        .collect();
    choice
}

/// The name that `lsmod` shows of a module file, compressed or not.
fn name(file: &str) -> String {
    let file = file.rsplit('/').next().unwrap_or(file);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// Writes the indices by which modprobe finds modules, their dependencies and
/// the aliases that the kernel asks for.
fn depmod(base: &Path, release: &str) -> Result<()> {
    command::output(
        Command::new(command::find("depmod")?)
            .arg("-b")
            .arg(base)
            .arg(release),
    )?;
    Ok(())
}

/// Copies a file and makes the directories above it.
fn copy(from: &Path, to: &PathBuf) -> Result<()> {
    if let Some(above) = to.parent() {
        fs::create_dir_all(above).with_context(|| format!("cannot create {}", above.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_holds_dependencies_and_names_what_is_missing() {
        let dependencies = "\
kernel/net/netfilter/nf_conntrack.ko.xz: kernel/net/ipv6/nf_defrag.ko.xz kernel/lib/libcrc32c.ko.xz
kernel/net/ipv6/nf_defrag.ko.xz:
kernel/lib/libcrc32c.ko.xz:
kernel/drivers/net/veth.ko.xz:
kernel/drivers/gpu/card.ko.xz:
";
        let choice = choose(
            dependencies,
            "kernel/net/packet/af_packet.ko\nkernel/arch/x86/crc32c-intel.ko\n",
            &SCENARIOS,
        );
        let files: Vec<_> = choice.files.iter().map(String::as_str).collect();
        assert_eq!(
            files,
            [
                "kernel/drivers/net/veth.ko.xz",
                "kernel/lib/libcrc32c.ko.xz",
                "kernel/net/ipv6/nf_defrag.ko.xz",
                "kernel/net/netfilter/nf_conntrack.ko.xz",
            ]
        );
        for present in ["veth", "libcrc32c", "af_packet", "crc32c_intel"] {
            assert!(!choice.missing.contains(&present), "{present}");
        }
        assert!(choice.missing.contains(&"sctp"));
    }
}
