//! Which module uses which, and by which name.
//!
//! A name ties to the file that defines what it means, also where other modules
//! hand it on (`pub use`). A module that hands it on is used, too, unless the
//! name is used inside of that module: a room's own front door leads nowhere new.

use std::path::Path;

use super::{
    modules::{Id, Modules},
    syntax::{Meaning, Reference},
};

/// That one module uses another one, of another file.
#[derive(Debug)]
pub(super) struct Tie {
    /// The module that names the other one.
    pub(super) from: Id,
    /// The module that is named, or defines what is named.
    pub(super) to: Id,
    /// The line of `from` with the name, counted from 1.
    pub(super) line: usize,
    /// The name, such as `crate::say::time`.
    pub(super) name: String,
}

impl Tie {
    /// The file and line of the name.
    pub(super) fn place<'a>(&self, modules: &'a Modules) -> (&'a Path, usize) {
        (&modules.get(self.from).file, self.line)
    }
}

/// All ties between files of a package.
pub(super) fn all(modules: &Modules) -> Vec<Tie> {
    let mut ties = Vec::new();
    for from in modules.ids() {
        for reference in &modules.get(from).contents.references {
            ties.extend(of_reference(modules, from, reference));
        }
    }
    ties
}

/// What one name ties a module to.
fn of_reference(modules: &Modules, from: Id, reference: &Reference) -> Vec<Tie> {
    let mut search = Search::new(modules);
    let [first, ..] = reference.path.as_slice() else {
        return Vec::new();
    };
    // `Type::new`: what brought the type here is a tie of its own.
    if search.first(from, first).iter().any(|found| found.item) {
        return Vec::new();
    }
    let found = search.path(from, &reference.path);
    let mut to: Vec<Id> = found
        .into_iter()
        .flat_map(|found| {
            let inside = |id: &Id| modules.ancestry(from).any(|outer| outer == *id);
            // To name a module one is in is no use of it; to name what it defines is.
            let defines = found.item || reference.glob || !inside(&found.module);
            let through = found.through.into_iter().filter(move |id| !inside(id));
            through.chain(defines.then_some(found.module))
        })
        .filter(|&to| modules.get(to).file != modules.get(from).file)
        .collect();
    to.sort_unstable();
    to.dedup();
    to.into_iter()
        .map(|to| Tie {
            from,
            to,
            line: reference.line,
            name: reference.path.join("::"),
        })
        .collect()
}

/// What a name means.
#[derive(Clone)]
struct Found {
    /// The module that is meant, or that defines what is meant.
    module: Id,
    /// Whether it is something in the module, not the module itself.
    item: bool,
    /// The modules that hand it on.
    through: Vec<Id>,
}

/// A search for what names mean. What other crates define is not found.
struct Search<'a> {
    modules: &'a Modules,
    /// What is being searched for, so that no search is for itself.
    open: Vec<(Id, &'a str)>,
}

impl<'a> Search<'a> {
    fn new(modules: &'a Modules) -> Self {
        let open = Vec::new();
        Self { modules, open }
    }

    /// What a path means in a module.
    fn path(&mut self, from: Id, path: &'a [String]) -> Vec<Found> {
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        let mut found = self.first(from, first);
        for name in rest {
            found = found
                .into_iter()
                .flat_map(|found| self.next(found, name))
                .collect();
        }
        found
    }

    /// What the first name of a path means.
    fn first(&mut self, from: Id, name: &'a str) -> Vec<Found> {
        let modules = self.modules;
        let found = match name {
            "crate" => Some(modules.root(from)),
            "self" => Some(from),
            "super" => modules.get(from).parent,
            _ => {
                let mut found = self.name(from, name);
                for found in &mut found {
                    // What one has imported oneself nobody hands on.
                    found.through.retain(|&through| through != from);
                }
                if !found.is_empty() {
                    return found;
                }
                modules.library(name)
            }
        };
        found.map(module).into_iter().collect()
    }

    /// What a further name of a path means, after what was found for those before.
    fn next(&mut self, before: Found, name: &'a str) -> Vec<Found> {
        if before.item {
            // A variant of an enum, or a function of a type.
            return vec![before];
        }
        let mut found = match (name, self.modules.get(before.module).parent) {
            ("super", Some(parent)) => vec![module(parent)],
            _ => self.name(before.module, name),
        };
        if found.is_empty() {
            // A macro makes it there.
            found.push(item(before.module));
        }
        for found in &mut found {
            found.through.extend(&before.through);
        }
        found
    }

    /// What a name means in a module.
    fn name(&mut self, within: Id, name: &'a str) -> Vec<Found> {
        if self.open.contains(&(within, name)) {
            return Vec::new();
        }
        self.open.push((within, name));
        let modules = self.modules;
        let here = modules.get(within);
        let children = here.children.iter();
        let children = children.filter(|&&child| modules.get(child).name == name);
        let mut found: Vec<Found> = children.map(|&child| module(child)).collect();
        for meaning in here.contents.names.get(name).into_iter().flatten() {
            match meaning {
                Meaning::Item => found.push(item(within)),
                Meaning::Import(path) => found.extend(handed_on(within, self.path(within, path))),
            }
        }
        if found.is_empty() {
            for path in &here.contents.globs {
                // Not of enums: a variant begins no path.
                let all = self.path(within, path).into_iter();
                for from in all.filter(|found| !found.item) {
                    found.extend(handed_on(within, self.name(from.module, name)));
                }
            }
        }
        self.open.pop();
        found
    }
}

/// A module itself.
fn module(module: Id) -> Found {
    Found {
        module,
        item: false,
        through: Vec::new(),
    }
}

/// Something in a module.
fn item(within: Id) -> Found {
    Found {
        module: within,
        item: true,
        through: Vec::new(),
    }
}

/// What a module found, as it hands it on.
fn handed_on(by: Id, mut found: Vec<Found>) -> Vec<Found> {
    for found in &mut found {
        found.through.push(by);
    }
    found
}
