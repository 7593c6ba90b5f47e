//! The crates that this workspace builds with, as cargo has resolved them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, TargetKind};

use crate::licences::lock::{self, Package};

/// The crates whose code is in the program: its own, and that of the eBPF object in it.
const SHIPPED: [&str; 2] = ["conntrack-ebpf", "conntrack-user"];

/// A crate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependency {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The licence that its manifest states, as an SPDX expression.
    pub(crate) licence: Option<String>,
    /// Who its manifest names as authors.
    pub(crate) authors: Vec<String>,
    /// Where it is developed.
    pub(crate) repository: Option<String>,
    /// The SHA-256 of its archive in the registry; none if it is of this workspace.
    pub(crate) checksum: Option<String>,
    /// The directory with its sources.
    pub(crate) folder: PathBuf,
    /// Whether it runs in the compiler, and is in no program.
    pub(crate) is_macro: bool,
    /// The crates that its code calls, by their identity in the graph.
    pub(crate) calls: Vec<String>,
}

/// All crates, by an identity that two versions of one crate do not share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    crates: BTreeMap<String, Dependency>,
}

impl Graph {
    /// All crates, also those that only tests and builds need.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Dependency> {
        self.crates.values()
    }

    /// The crate with this identity.
    pub(crate) fn get(&self, identity: &str) -> Option<&Dependency> {
        self.crates.get(identity)
    }

    /// The crates whose code is in the program, by name and version.
    pub(crate) fn shipped(&self) -> Vec<&Dependency> {
        let is_root =
            |one: &Dependency| one.checksum.is_none() && SHIPPED.contains(&one.name.as_str());
        let roots = self.crates.iter().filter(|(_, one)| is_root(one));
        let mut ahead: Vec<&str> = roots.map(|(identity, _)| identity.as_str()).collect();
        let mut seen = BTreeSet::new();
        while let Some(identity) = ahead.pop() {
            let Some(one) = self.crates.get(identity) else {
                continue;
            };
            if !one.is_macro && seen.insert(identity) {
                ahead.extend(one.calls.iter().map(String::as_str));
            }
        }
        let mut shipped: Vec<_> = seen
            .iter()
            .filter_map(|one| self.crates.get(*one))
            .collect();
        shipped.sort_by_key(|one| (&one.name, &one.version));
        shipped
    }
}

/// Reads the crates of the workspace in this directory, for this target.
pub(crate) fn read(root: &Path, triple: &str) -> Result<Graph> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(["--locked", "--filter-platform", triple].map(str::to_owned))
        .exec()
        .with_context(|| format!("cannot resolve the workspace in {}", root.display()))?;
    graph(&metadata, &lock::read(&root.join("Cargo.lock"))?)
}

/// The crates that cargo names, with the checksums of the lock.
fn graph(metadata: &Metadata, lock: &[Package]) -> Result<Graph> {
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo resolved nothing")?;
    let mut crates = BTreeMap::new();
    for node in &resolve.nodes {
        let package = &metadata[&node.id];
        let (name, version) = (package.name.to_string(), package.version.to_string());
        let calls = node.deps.iter().filter(|dependency| {
            let mut kinds = dependency.dep_kinds.iter();
            kinds.any(|kind| kind.kind == DependencyKind::Normal)
        });
        let targets = &package.targets;
        let dependency = Dependency {
            licence: package.license.clone(),
            authors: package.authors.clone(),
            repository: package.repository.clone(),
            checksum: checksum(lock, &name, &version),
            folder: package.manifest_path.with_file_name("").into(),
            is_macro: targets.iter().any(|one| one.is_kind(TargetKind::ProcMacro)),
            calls: calls.map(|called| called.pkg.repr.clone()).collect(),
            name,
            version,
        };
        crates.insert(node.id.repr.clone(), dependency);
    }
    Ok(Graph { crates })
}

/// The checksum of this crate in the lock.
fn checksum(lock: &[Package], name: &str, version: &str) -> Option<String> {
    let mut packages = lock.iter();
    let package = packages.find(|one| one.name == name && one.version == version)?;
    package.checksum.clone()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A graph of crates that are given as `name: calls`; a name that ends in `!` is a
    /// macro's, and the crates of this workspace have no checksum.
    pub(crate) fn made(lines: &[&str]) -> Graph {
        let mut crates = BTreeMap::new();
        for line in lines {
            let (name, calls) = line.split_once(':').unwrap();
            let is_macro = name.ends_with('!');
            let name = name.trim_end_matches('!').to_owned();
            let dependency = Dependency {
                version: "1.0.0".to_owned(),
                licence: Some("MIT".to_owned()),
                checksum: (!SHIPPED.contains(&name.as_str())).then(|| "00".to_owned()),
                is_macro,
                calls: calls.split_whitespace().map(str::to_owned).collect(),
                name: name.clone(),
                ..Dependency::default()
            };
            crates.insert(name, dependency);
        }
        Graph { crates }
    }

    #[test]
    fn macros_and_what_only_they_call_are_not_in_the_program() {
        let graph = made(&[
            "conntrack-user: serde anyhow",
            "conntrack-ebpf: aya-ebpf",
            "serde: serde_derive",
            "serde_derive!: syn",
            "syn:",
            "anyhow:",
            "aya-ebpf:",
            "xtask: rpm",
            "rpm:",
        ]);
        let names: Vec<_> = graph
            .shipped()
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let expected = [
            "anyhow",
            "aya-ebpf",
            "conntrack-ebpf",
            "conntrack-user",
            "serde",
        ];
        assert_eq!(names, expected);
        assert_eq!(graph.all().count(), 9);
    }
}
