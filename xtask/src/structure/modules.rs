//! The modules of a package, each with its file and what its source has.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    syntax::{self, Child, Contents},
    workspace::{Kind, Package},
};

/// The number of a module in [`Modules`].
pub(super) type Id = usize;

/// The modules of all targets of a package.
#[derive(Debug)]
pub(super) struct Modules {
    all: Vec<Module>,
    /// The root of the library, and its name as a crate.
    library: Option<(Id, String)>,
}

/// A module.
#[derive(Debug)]
pub(super) struct Module {
    /// Its name; of a root, the target's.
    pub(super) name: String,
    /// What it is a child of; nothing of a root.
    pub(super) parent: Option<Id>,
    /// Its child modules.
    pub(super) children: Vec<Id>,
    /// What its target is.
    pub(super) target: Kind,
    /// The file with its source, relative to the workspace.
    pub(super) file: PathBuf,
    /// What its source has.
    pub(super) contents: Contents,
}

impl Modules {
    /// Every module, a parent before its children.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        0..self.all.len()
    }

    /// The module with this number.
    pub(super) fn get(&self, id: Id) -> &Module {
        &self.all[id]
    }

    /// A module and what it is in, the innermost first.
    pub(super) fn ancestry(&self, id: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(Some(id), |&id| self.get(id).parent)
    }

    /// The root of the target that a module belongs to.
    pub(super) fn root(&self, id: Id) -> Id {
        self.ancestry(id).last().unwrap_or(id)
    }

    /// The root of the library, if it has this name as a crate.
    pub(super) fn library(&self, name: &str) -> Option<Id> {
        let (id, library) = self.library.as_ref()?;
        (library == name).then_some(*id)
    }

    /// The outermost module of the same file: what a file is as a module.
    pub(super) fn of_file(&self, id: Id) -> Id {
        let file = &self.get(id).file;
        let same = |&id: &Id| self.get(id).file == *file;
        self.ancestry(id).take_while(same).last().unwrap_or(id)
    }
}

/// Reads the modules of a package; its paths are relative to `workspace`.
pub(super) fn read(workspace: &Path, package: &Package) -> Result<Modules> {
    let mut modules = Modules {
        all: Vec::new(),
        library: None,
    };
    for target in &package.targets {
        let folder = target.file.parent().context("a target without a folder")?;
        let root = Place {
            name: target.name.clone(),
            parent: None,
            target: target.kind,
            file: target.file.clone(),
            folder: folder.into(),
        };
        let contents = parse(workspace, &target.file)?;
        let id = modules.add(workspace, root, contents)?;
        if target.kind == Kind::Library {
            modules.library = Some((id, target.name.clone()));
        }
    }
    Ok(modules)
}

/// Where a module is.
struct Place {
    name: String,
    parent: Option<Id>,
    target: Kind,
    file: PathBuf,
    /// The folder where the files of its children are.
    folder: PathBuf,
}

impl Modules {
    /// Adds a module and all that is in it.
    fn add(&mut self, workspace: &Path, place: Place, mut contents: Contents) -> Result<Id> {
        let id = self.all.len();
        let children = std::mem::take(&mut contents.children);
        self.all.push(Module {
            name: place.name,
            parent: place.parent,
            children: Vec::new(),
            target: place.target,
            file: place.file.clone(),
            contents,
        });
        for Child { name, inline } in children {
            let (file, folder, contents) = match inline {
                Some(contents) => (place.file.clone(), place.folder.join(&name), contents),
                None => in_file(workspace, &place.folder, &name)
                    .with_context(|| format!("in {}", place.file.display()))?,
            };
            let child = Place {
                name,
                parent: Some(id),
                target: place.target,
                file,
                folder,
            };
            let child = self.add(workspace, child, contents)?;
            self.all[id].children.push(child);
        }
        Ok(id)
    }
}

/// The file of a child module, the folder of its own children, and its source.
fn in_file(workspace: &Path, folder: &Path, name: &str) -> Result<(PathBuf, PathBuf, Contents)> {
    let inner = folder.join(name);
    for file in [folder.join(format!("{name}.rs")), inner.join("mod.rs")] {
        if workspace.join(&file).is_file() {
            let contents = parse(workspace, &file)?;
            return Ok((file, inner, contents));
        }
    }
    bail!("mod {name} has neither {name}.rs nor {name}/mod.rs")
}

fn parse(workspace: &Path, file: &Path) -> Result<Contents> {
    let text = fs::read_to_string(workspace.join(file));
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let source = syn::parse_file(&text);
    let source = source.with_context(|| format!("cannot parse {}", file.display()))?;
    Ok(syntax::read(&source.items))
}
