//! The file with the licences of everything that is in the static binary.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};
use spdx::{Expression, ParseMode};

use crate::licences::{
    dependency::{Dependency, Graph},
    native::Library,
};

/// How names of files with licences begin, in lower case.
const BEGINNINGS: [&str; 6] = [
    "license",
    "licence",
    "copying",
    "copyright",
    "notice",
    "unlicense",
];

/// A line between texts.
const RULE: &str =
    "================================================================================";

/// Texts, each with the names of those that it holds for.
type Texts = BTreeMap<String, BTreeSet<String>>;

/// The text of the file.
pub(crate) fn text(graph: &Graph, libraries: &[Library]) -> Result<String> {
    let mut parts = String::new();
    let mut texts = Texts::new();
    for library in libraries {
        add_library(library, &mut parts, &mut texts);
    }
    // A checksum tells the crates of others from those of this workspace.
    for one in graph
        .shipped()
        .into_iter()
        .filter(|one| one.checksum.is_some())
    {
        add_crate(one, &mut parts, &mut texts)?;
    }
    Ok(composed(&parts, &texts))
}

/// Adds a library that is no crate.
fn add_library(library: &Library, parts: &mut String, texts: &mut Texts) {
    let Library {
        name,
        version,
        licence,
        home,
    } = library;
    let _ = writeln!(parts, "{name} {version}: {licence}\n    {home}");
    for text in standard(licence) {
        texts
            .entry(text)
            .or_default()
            .insert(format!("{name} {version}"));
    }
}

/// Adds a crate, with its own files or else with the standard texts of its licences.
fn add_crate(one: &Dependency, parts: &mut String, texts: &mut Texts) -> Result<()> {
    let licence = one.licence.as_deref().unwrap_or("no licence stated");
    let name = format!("{} {}", one.name, one.version);
    let _ = writeln!(parts, "{name}: {licence}");
    if let Some(repository) = &one.repository {
        let _ = writeln!(parts, "    {repository}");
    }
    if !one.authors.is_empty() {
        let _ = writeln!(parts, "    by {}", one.authors.join(", "));
    }
    let mut own = files(&one.folder)?;
    if own.is_empty() {
        let _ = writeln!(
            parts,
            "    without a file of its licence; the standard text holds"
        );
        own = standard(licence);
    }
    for text in own {
        texts.entry(text).or_default().insert(name.clone());
    }
    Ok(())
}

/// The files with licences in this directory, in the order of their names.
fn files(folder: &Path) -> Result<Vec<String>> {
    let unread = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(unread)? {
        let entry = entry.with_context(unread)?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let is_licence = BEGINNINGS
            .iter()
            .any(|beginning| name.starts_with(beginning));
        if is_licence && entry.path().is_file() {
            names.push(entry.path());
        }
    }
    names.sort();
    names
        .iter()
        .map(|name| {
            let bytes =
                fs::read(name).with_context(|| format!("cannot read {}", name.display()))?;
            let text = String::from_utf8_lossy(&bytes).replace('\r', "");
            Ok(format!("{}\n", text.trim_end().trim_start_matches('\n')))
        })
        .collect()
}

/// The standard texts of the licences in an expression.
fn standard(licence: &str) -> Vec<String> {
    let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else {
        return Vec::new();
    };
    let requirements = expression.requirements();
    let identities = requirements.filter_map(|one| one.req.license.id());
    identities
        .map(|identity| format!("{}\n", identity.text().trim_end()))
        .collect()
}

/// The file: the parts, and each text once.
fn composed(parts: &str, texts: &Texts) -> String {
    let mut file = format!(
        "The static binary ctdrop contains the software of others that is listed here. The\n\
         texts of the licences follow.\n\n\
         ctdrop is linked with the GNU C Library (glibc). Its sources, which are free, and\n\
         the command `cargo xtask build` link it with another version of that library.\n\n{parts}"
    );
    let mut by_name: Vec<_> = texts.iter().collect();
    by_name.sort_by_key(|(text, names)| (*names, *text));
    for (text, names) in by_name {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let _ = write!(file, "\n{RULE}\n{}\n{RULE}\n\n{text}", names.join(", "));
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, folder: &Path) -> Dependency {
        Dependency {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT".to_owned()),
            authors: vec!["A. Uthor".to_owned()],
            folder: folder.to_owned(),
            ..Dependency::default()
        }
    }

    #[test]
    fn a_text_that_two_crates_share_is_there_once() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("LICENSE-MIT"), "\n\nFree as air.\r\n\n").unwrap();
        fs::write(root.path().join("Cargo.toml"), "no licence").unwrap();
        let (mut parts, mut texts) = (String::new(), Texts::new());
        for name in ["b", "a"] {
            add_crate(&dependency(name, root.path()), &mut parts, &mut texts).unwrap();
        }
        let file = composed(&parts, &texts);
        assert_eq!(file.matches("Free as air.\n").count(), 1, "{file}");
        assert!(file.contains("a 1.0.0, b 1.0.0"), "{file}");
        assert!(!file.contains("no licence"), "{file}");
    }

    #[test]
    fn a_crate_without_a_file_gets_the_standard_text_and_its_authors_are_named() {
        let root = tempfile::tempdir().unwrap();
        let (mut parts, mut texts) = (String::new(), Texts::new());
        add_crate(&dependency("a", root.path()), &mut parts, &mut texts).unwrap();
        let file = composed(&parts, &texts);
        assert!(file.contains("by A. Uthor"), "{file}");
        assert!(file.contains("Permission is hereby granted"), "{file}");
    }
}
