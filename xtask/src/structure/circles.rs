//! Circles: files that use one another, and folders that do.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};

use super::{
    modules::{Id, Modules},
    ties::Tie,
    violation::Violation,
};

/// How many names are shown of those that tie one file or folder to another.
const SHOWN: usize = 3;

/// Files of which each uses the next, and the last the first.
pub(super) fn of_files(modules: &Modules, ties: &[Tie]) -> Vec<Violation> {
    let links = ties.iter().map(|tie| Link {
        from: modules.of_file(tie.from),
        to: modules.of_file(tie.to),
        tie,
    });
    circles(&links.collect::<Vec<_>>())
        .iter()
        .map(|circle| report(modules, "files", circle, |id| file(modules, id)))
        .collect()
}

/// Folders, and files beside them, of which each uses the next, and the last the
/// first. Those of files alone are left to [`of_files`].
pub(super) fn of_folders(modules: &Modules, ties: &[Tie]) -> Vec<Violation> {
    let mut levels: BTreeMap<Id, Vec<Link>> = BTreeMap::new();
    for tie in ties {
        if let Some((level, link)) = siblings(modules, tie) {
            levels.entry(level).or_default().push(link);
        }
    }
    let mut violations = Vec::new();
    for (level, links) in levels {
        let is_folder = |id: Id| id != level && has_files(modules, id);
        for circle in circles(&links) {
            if circle.iter().any(|link| is_folder(link.from)) {
                let label = |id| {
                    if is_folder(id) {
                        folder(modules, id)
                    } else {
                        file(modules, id)
                    }
                };
                violations.push(report(modules, "folders", &circle, label));
            }
        }
    }
    violations
}

/// That one file or folder uses another one, and by what.
#[derive(Clone, Copy)]
struct Link<'a> {
    from: Id,
    to: Id,
    tie: &'a Tie,
}

/// A tie as one between two modules that lie in the same one, or between that
/// and one in it; and that module.
fn siblings<'a>(modules: &Modules, tie: &'a Tie) -> Option<(Id, Link<'a>)> {
    let path = |id| {
        let mut path: Vec<Id> = modules.ancestry(modules.of_file(id)).collect();
        path.reverse();
        path
    };
    let (from, to) = (path(tie.from), path(tie.to));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    // Two targets of a package have nothing in common.
    let level = *from.get(common.checked_sub(1)?)?;
    let below = |path: &[Id]| path.get(common).copied().unwrap_or(level);
    let link = Link {
        from: below(&from),
        to: below(&to),
        tie,
    };
    Some((level, link))
}

/// The links of each circle.
fn circles<'a>(links: &[Link<'a>]) -> Vec<Vec<Link<'a>>> {
    let graph: DiGraphMap<Id, ()> = links.iter().map(|link| (link.from, link.to)).collect();
    let mut components = tarjan_scc(&graph);
    components.retain(|component| component.len() > 1);
    components.sort_unstable();
    let within = |component: Vec<Id>| {
        let links = links.iter().copied();
        links
            .filter(|link| component.contains(&link.from) && component.contains(&link.to))
            .collect()
    };
    components.into_iter().map(within).collect()
}

/// Says which files or folders make a circle, and by which names.
fn report(
    modules: &Modules,
    what: &str,
    circle: &[Link<'_>],
    label: impl Fn(Id) -> String,
) -> Violation {
    // By pair, each name once: a module that hands it on lies in the same folder.
    let mut pairs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for link in circle {
        let (file, line) = link.tie.place(modules);
        let pair = (label(link.from), label(link.to));
        let name = (file, line, link.tie.name.as_str());
        pairs.entry(pair).or_default().insert(name);
    }
    let mut lines = vec![format!("{what} use one another in a circle:")];
    for ((from, to), names) in &pairs {
        lines.push(format!("  {from} uses {to}"));
        for (file, line, name) in names.iter().take(SHOWN) {
            lines.push(format!("    {}:{line}: {name}", file.display()));
        }
        if let Some(more @ 1..) = names.len().checked_sub(SHOWN) {
            lines.push(format!("    and {more} more"));
        }
    }
    let first = circle.iter().map(|link| link.tie.place(modules)).min();
    let (path, line) = first.unzip();
    Violation {
        path: path.unwrap_or(Path::new("")).into(),
        line,
        what: lines.join("\n"),
    }
}

fn file(modules: &Modules, id: Id) -> String {
    modules.get(id).file.display().to_string()
}

/// The folder with a module's children; it stands for the file beside it, too.
fn folder(modules: &Modules, id: Id) -> String {
    let file = &modules.get(id).file;
    let folder = if file.ends_with("mod.rs") {
        file.with_file_name("")
    } else {
        file.with_extension("")
    };
    format!("{}/", folder.display().to_string().trim_end_matches('/'))
}

/// Whether a module has children in files of their own.
fn has_files(modules: &Modules, id: Id) -> bool {
    let mut below = modules.get(id).children.iter();
    let own = &modules.get(id).file;
    below.any(|&child| modules.get(child).file != *own || has_files(modules, child))
}
