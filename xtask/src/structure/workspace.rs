//! The packages of a workspace and their targets, as cargo knows them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::{MetadataCommand, TargetKind};

/// A package of the workspace.
#[derive(Debug)]
pub(super) struct Package {
    /// Its name, such as `conntrack-user`.
    pub(super) name: String,
    /// Its folder, relative to the workspace.
    pub(super) folder: PathBuf,
    /// What cargo builds from it.
    pub(super) targets: Vec<Target>,
}

/// Something that cargo builds from a package.
#[derive(Debug)]
pub(super) struct Target {
    /// What is built.
    pub(super) kind: Kind,
    /// The name of it as a crate, such as `conntrack_user`.
    pub(super) name: String,
    /// The file with the root module, relative to the workspace.
    pub(super) file: PathBuf,
}

/// What is built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// The library.
    Library,
    /// A program.
    Program,
    /// A build script, an example, an integration test or a benchmark.
    Other,
}

/// The packages of the workspace in this directory.
pub(super) fn packages(root: &Path) -> Result<Vec<Package>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .with_context(|| format!("cannot read the workspace in {}", root.display()))?;
    // As cargo spells it: links resolved.
    let root = &metadata.workspace_root;
    let packages = metadata.packages.iter().map(|package| {
        let folder = package.manifest_path.parent();
        let folder = folder.context("a manifest without a folder")?;
        let targets = package.targets.iter().map(|target| {
            Ok(Target {
                kind: kind(&target.kind),
                name: target.name.replace('-', "_"),
                file: target.src_path.strip_prefix(root)?.into(),
            })
        });
        Ok(Package {
            name: package.name.to_string(),
            folder: folder.strip_prefix(root)?.into(),
            targets: targets.collect::<Result<_>>()?,
        })
    });
    packages.collect()
}

fn kind(kinds: &[TargetKind]) -> Kind {
    match kinds {
        [TargetKind::Lib] => Kind::Library,
        [TargetKind::Bin] => Kind::Program,
        _ => Kind::Other,
    }
}
