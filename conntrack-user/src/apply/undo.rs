//! Undoing a fix, file by file. A file that somebody has changed since is left.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::{
    apply::{
        file::{Tree, Wanted},
        live,
        record::{Record, Records, State, digest},
        udev,
    },
    kernel::limits::Limits,
    plan::LiveWrite,
};

/// What was undone.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Undone {
    /// The fix.
    pub id: String,
    /// Files that are restored.
    pub restored: Vec<PathBuf>,
    /// What was left, and why, each as a sentence.
    pub left: Vec<String>,
}

impl Undone {
    /// Whether everything was undone.
    pub fn is_whole(&self) -> bool {
        self.left.is_empty()
    }
}

/// Undoes a fix of the tree at `root`: the one with that name, or the last one in
/// force.
pub fn undo(root: &Path, id: Option<&str>) -> Result<Undone> {
    let records = Records::of(root);
    let choose = || -> Result<Record> {
        let mut all = records.all()?;
        let found = match id {
            Some(id) => all.into_iter().find(|record| record.manifest.id == id),
            None => loop {
                match all.pop() {
                    Some(record) if matches!(record.state, State::Undone | State::CarriedOn) => {}
                    last => break last,
                }
            },
        };
        match found {
            Some(record) if record.state == State::Undone => {
                bail!("{} is already undone", record.manifest.id)
            }
            Some(record) => Ok(record),
            None => match id {
                Some(id) => bail!("there is no fix {id}: ctdrop undo --list shows all"),
                None => bail!(
                    "there is no fix to undo in {}",
                    records.directory().display()
                ),
            },
        }
    };
    choose()?;
    let _lock = records.lock()?;
    // Another undo may have been quicker.
    let mut record = choose()?;
    if let Some(later) = built_upon(&records, &record)? {
        bail!(
            "nothing was changed: undo {later} first, because it changed some of the same files \
             after {}",
            record.manifest.id
        );
    }
    take_back(root, &Tree::open(root)?, &mut record)
}

/// The last fix in force that has changed some of the same files after this one.
fn built_upon(records: &Records, record: &Record) -> Result<Option<String>> {
    let touches = |later: &Record| {
        let mut paths = later.manifest.files.iter().map(|file| &file.path);
        paths.any(|path| record.manifest.files.iter().any(|file| file.path == *path))
    };
    let later = records.all()?.into_iter().rev().find(|later| {
        later.manifest.id > record.manifest.id
            // The rest of one that is undone in part is checked file by file.
            && matches!(later.state, State::Applied | State::Unfinished)
            && touches(later)
    });
    Ok(later.map(|later| later.manifest.id))
}

/// Undoes a fix as far as nothing of others is lost.
pub(crate) fn take_back(root: &Path, tree: &Tree, record: &mut Record) -> Result<Undone> {
    if record.state == State::Applied {
        // First of all, so that `watch --fix` does not take it for the work of
        // another program. A full disk is no reason to undo nothing.
        let _ = record.mark(State::PartlyUndone);
    }
    let mut undone = files(tree, record)?;
    if root == Path::new("/") {
        let writes: Vec<LiveWrite> = record
            .manifest
            .live
            .iter()
            .map(|live| LiveWrite {
                path: live.path.clone(),
                before: live.before,
                after: live.after,
                why: String::new(),
            })
            .collect();
        let entries = Limits::read().ok().and_then(|limits| limits.entries);
        undone.left.extend(live::take_back(&writes, entries));
    }
    if undone.is_whole() {
        record.mark(State::Undone)?;
    }
    Ok(undone)
}

/// Undoes the changes of files only; the running kernel stays as it is.
pub(crate) fn files(tree: &Tree, record: &Record) -> Result<Undone> {
    clean(tree, record)?;
    let mut undone = Undone {
        id: record.manifest.id.clone(),
        ..Undone::default()
    };
    for number in (0..record.manifest.files.len()).rev() {
        let path = record.manifest.files[number].path.clone();
        match restore(tree, record, number) {
            Ok(true) => undone.restored.push(path),
            Ok(false) => {}
            Err(error) => undone.left.push(format!("{error:#}")),
        }
    }
    udev::tell(tree, undone.restored.iter().map(PathBuf::as_path));
    for directory in &record.manifest.directories {
        if let Err(error) = tree.remove_directory(directory) {
            undone.left.push(format!("{error:#}"));
        }
    }
    Ok(undone)
}

/// Restores a file. Returns whether that was a change.
fn restore(tree: &Tree, record: &Record, number: usize) -> Result<bool> {
    let file = &record.manifest.files[number];
    let before = record.before(number)?;
    let now = tree.read(&file.path)?.map(|present| present.content);
    if now == before {
        return Ok(false);
    }
    if now.as_deref().map(digest) != Some(file.after.clone()) {
        let backup = record.directory.join(format!("before-{number}"));
        bail!(
            "{} {}, so it is left as it is; {}",
            tree.outside(&file.path).display(),
            if now.is_some() {
                "has changed since the fix"
            } else {
                "is gone"
            },
            match before {
                Some(_) => format!("its content before the fix is in {}", backup.display()),
                None => "it did not exist before the fix".to_owned(),
            }
        );
    }
    let wanted = match (&before, &file.before) {
        (Some(content), Some(backup)) => Wanted::File {
            content,
            mode: backup.attributes.mode,
            attributes: Some(backup.attributes),
        },
        _ => Wanted::Nothing,
    };
    tree.replace(&file.path, now.as_deref(), wanted, &file.temporary)
        .with_context(|| format!("{} is not restored", tree.outside(&file.path).display()))?;
    Ok(true)
}

/// Removes the temporary files of an interrupted fix. One with other content stays,
/// and is an error: it may hold somebody's work.
pub(crate) fn clean(tree: &Tree, record: &Record) -> Result<()> {
    for (number, file) in record.manifest.files.iter().enumerate() {
        let (before, after) = (record.before(number)?, record.after(number)?);
        let known: Vec<&[u8]> = before
            .iter()
            .map(Vec::as_slice)
            .chain([after.as_slice()])
            .collect();
        if tree.clean(&file.path, &file.temporary, &known)? {
            let temporary = tree.outside(&file.path.with_file_name(&file.temporary));
            let (temporary, path) = (temporary.display(), tree.outside(&file.path));
            let path = path.display();
            bail!(
                "{temporary}, from an interrupted fix, holds somebody's change to {path}: merge it \
                 into {path} and delete {temporary}"
            );
        }
    }
    Ok(())
}

/// All fixes of a tree.
pub fn list(root: &Path) -> Result<Vec<Record>> {
    Records::of(root).all()
}
