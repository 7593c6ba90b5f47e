//! What the packages are made of, read from the workspace and told by the program.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::host::{command, run};

/// Files by their path below some directory.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The shells that the packages bring completions for.
const SHELLS: [&str; 3] = ["bash", "fish", "zsh"];

/// What the packages are made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The static binary.
    pub(crate) program: Vec<u8>,
    /// The files below `packaging/`.
    pub(crate) packaging: Files,
    /// README, CHANGELOG and `docs/`.
    pub(crate) docs: Files,
    /// The licences of this workspace.
    pub(crate) licences: Files,
    /// The manual pages.
    pub(crate) man: Files,
    /// The completions, by shell.
    pub(crate) completions: Files,
    /// The licences of what is linked in.
    pub(crate) notice: String,
    /// The bill of materials.
    pub(crate) bill: String,
}

impl Sources {
    /// Reads the workspace in this directory and the program, and asks a ctdrop that runs on this
    /// machine for manual pages and completions. The notice and the bill are still empty.
    pub(crate) fn read(root: &Path, program: &Path, here: &Path) -> Result<Self> {
        let told = tempfile::tempdir().context("cannot make a directory for manual pages")?;
        Ok(Self {
            program: bytes(program)?,
            packaging: below(&root.join("packaging"))?,
            docs: docs(root)?,
            licences: named(root, "LICENSE-")?,
            man: man(here, &told)?,
            completions: completions(here)?,
            ..Self::default()
        })
    }
}

/// README, CHANGELOG, and what is in `docs/`.
fn docs(root: &Path) -> Result<Files> {
    let docs = below(&root.join("docs"))?;
    let docs = docs
        .into_iter()
        .map(|(path, bytes)| (format!("docs/{path}"), bytes));
    Ok(named(root, "README")?
        .into_iter()
        .chain(named(root, "CHANGELOG")?)
        .chain(docs)
        .collect())
}

/// The manual pages that the program writes.
fn man(program: &Path, told: &TempDir) -> Result<Files> {
    run(command(program)?.arg("man").arg(told.path()))?;
    let pages = below(told.path())?;
    ensure!(
        !pages.is_empty(),
        "{} man wrote no pages",
        program.display()
    );
    Ok(pages)
}

/// The completions that the program prints.
fn completions(program: &Path) -> Result<Files> {
    let scripts = SHELLS.iter().map(|shell| {
        let output = command(program)?.args(["completions", *shell]).output();
        let output = output.with_context(|| format!("cannot run {}", program.display()))?;
        ensure!(
            output.status.success() && !output.stdout.is_empty(),
            "{} completions {shell} printed none",
            program.display()
        );
        Ok(((*shell).to_owned(), output.stdout))
    });
    scripts.collect()
}

/// The files in this directory whose names begin so.
fn named(directory: &Path, beginning: &str) -> Result<Files> {
    let mut files = Files::new();
    for path in entries(directory)? {
        let name = name(&path)?;
        if name.starts_with(beginning) && path.is_file() {
            files.insert(name, bytes(&path)?);
        }
    }
    ensure!(
        !files.is_empty(),
        "no {beginning}* in {}",
        directory.display()
    );
    Ok(files)
}

/// All files below a directory, by their path below it.
fn below(directory: &Path) -> Result<Files> {
    let mut files = Files::new();
    for path in entries(directory)? {
        let name = name(&path)?;
        if path.is_dir() {
            let inner = below(&path)?.into_iter();
            files.extend(inner.map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        } else {
            files.insert(name, bytes(&path)?);
        }
    }
    Ok(files)
}

/// What is in a directory.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let unread = || format!("cannot read {}", directory.display());
    let entries = fs::read_dir(directory).with_context(unread)?;
    entries
        .map(|entry| Ok(entry.with_context(unread)?.path()))
        .collect()
}

/// The last part of a path.
fn name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(name.to_owned())
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
