//! How long files and folders are. Tests count: they are read, too.

use std::{collections::BTreeMap, ffi::OsString, fs, io, path::Path};

use anyhow::{Context as _, Result};

use super::{violation::Violation, workspace::Package};

/// How many lines a file may have without a reason in its head.
const FILE: usize = 450;

/// How many lines the files of a folder may have together, without those of the
/// folders in it.
const FOLDER: usize = 4_000;

/// What a line of a file's head begins with that gives the reason for its length.
const REASON: &str = "//! Length: ";

/// Folders of a package that hold no source of its own.
const FOREIGN: [&str; 2] = ["target", "fuzz"];

/// The files and folders of a package that are too long.
pub(super) fn violations(workspace: &Path, package: &Package) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    walk(workspace, &package.folder, &mut violations)?;
    Ok(violations)
}

/// Measures a folder and those in it. Links are not followed.
fn walk(workspace: &Path, folder: &Path, violations: &mut Vec<Violation>) -> Result<()> {
    let mut total = 0;
    let entries = entries(&workspace.join(folder));
    for (name, is_folder) in entries.with_context(|| format!("cannot read {}", folder.display()))? {
        let path = folder.join(&name);
        if is_folder {
            if !FOREIGN.iter().any(|foreign| name == *foreign) {
                walk(workspace, &path, violations)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(workspace.join(&path));
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            total += text.lines().count();
            violations.extend(of_file(&path, &text));
        }
    }
    violations.extend(of_folder(folder, total));
    Ok(())
}

/// The names in a folder in their order, and whether each is a folder.
fn entries(folder: &Path) -> io::Result<BTreeMap<OsString, bool>> {
    let entries = fs::read_dir(folder)?.map(|entry| {
        let entry = entry?;
        Ok((entry.file_name(), entry.file_type()?.is_dir()))
    });
    entries.collect()
}

/// Whether a file is too long.
fn of_file(path: &Path, text: &str) -> Option<Violation> {
    let lines = text.lines().count();
    (lines > FILE && !has_reason(text)).then(|| Violation {
        path: path.into(),
        line: None,
        what: format!(
            "{lines} lines; split it by subject into files of at most {FILE}, or give the reason \
             in its head: {REASON}…"
        ),
    })
}

/// Whether a folder's own files are too long together.
fn of_folder(path: &Path, lines: usize) -> Option<Violation> {
    (lines > FOLDER).then(|| Violation {
        path: path.into(),
        line: None,
        what: format!(
            "{lines} lines in its own files; move subjects into folders of their own until there \
             are at most {FOLDER}"
        ),
    })
}

/// Whether the head of a file gives a reason for its length.
fn has_reason(text: &str) -> bool {
    let head = text.lines().take_while(|line| line.starts_with("//!"));
    let mut reasons = head.filter_map(|line| line.strip_prefix(REASON));
    reasons.any(|reason| !reason.trim().is_empty())
}
