//! Applying a plan: first everything that undo needs goes to the disk, then the
//! running kernel is changed, then file by file.

pub mod file;
pub mod live;
pub mod record;
pub(crate) mod report;
mod udev;
pub mod undo;

use std::{
    cmp::Reverse,
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::getuid;

use crate::{
    apply::{
        file::{Attributes, Tree, Wanted},
        record::{
            Backup, Contents, FileRecord, Live, Manifest, Record, Records, State, Who, digest,
        },
    },
    facts::{Facts, root::Root},
    plan::{FileChange, Plan, edit::TEMPORARY, shortfalls},
    say::{
        clock,
        finding::{Code, Finding, Severity},
        number::number,
    },
    survival::{Start, Survival, simulate},
};

/// A plan that was applied.
#[derive(Debug)]
pub struct Applied {
    /// Name for undo; none if there was nothing to do.
    pub id: Option<String>,
    /// What survives with the files as they are now.
    pub survives: Survival,
    /// What is not as wanted.
    pub shortfalls: Vec<Finding>,
}

/// A file to be changed, with its content before the first interrupted fix that
/// changed it.
struct Item {
    change: FileChange,
    original: Option<(Vec<u8>, Attributes)>,
}

/// Applies a plan to the tree at `root`. If a file cannot be changed, the changes
/// of the others are undone.
pub fn apply(root: &Path, plan: &Plan) -> Result<Applied> {
    apply_plan(root, plan, Kernel::ToBeWritten)
}

/// Applies a plan whose values the running kernel already has. It keeps them,
/// whatever happens to the files, and a later undo restores the old ones. If a file
/// cannot be changed, the changes of the others are undone, and that is a
/// shortfall.
pub fn keep(root: &Path, plan: &Plan) -> Result<Applied> {
    apply_plan(root, plan, Kernel::Written)
}

/// Whether the running kernel has the values of a plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernel {
    ToBeWritten,
    Written,
}

fn apply_plan(root: &Path, plan: &Plan, kernel: Kernel) -> Result<Applied> {
    let records = Records::of(root);
    if plan.is_empty() && unfinished(&records)?.is_empty() {
        return verified(root, plan, None);
    }
    let _lock = records.lock()?;
    let tree = Tree::open(root)?;
    let mut earlier = unfinished(&records)?;
    for record in &earlier {
        undo::clean(&tree, record)?;
    }
    let items = items(&tree, plan, &earlier)?;
    if items.is_empty() && plan.live.is_empty() {
        // Everything but the last mark was done.
        for record in &mut earlier {
            record.mark(State::Applied)?;
        }
        return verified(
            root,
            plan,
            earlier.last().map(|record| record.manifest.id.clone()),
        );
    }
    let mut record = begin(&tree, &records, plan, &items, &earlier)?;
    for record in &mut earlier {
        record.mark(State::CarriedOn)?;
    }
    let outcome = match kernel {
        Kernel::ToBeWritten => live::apply(&plan.live),
        Kernel::Written => Ok(()),
    };
    let mut failed = None;
    match outcome.and_then(|()| change_all(&tree, &items, &record)) {
        Ok(()) => {}
        Err(error) if kernel == Kernel::ToBeWritten => {
            return Err(taken_back(root, &tree, &mut record, error));
        }
        Err(error) => failed = Some(files_taken_back(&tree, &record, &error)),
    }
    record.mark(State::Applied)?;
    let mut applied = verified(root, plan, Some(record.manifest.id))?;
    applied.shortfalls.splice(0..0, failed);
    Ok(applied)
}

/// Undoes the changes of files after an error, and returns how that went.
fn files_taken_back(tree: &Tree, record: &Record, error: &anyhow::Error) -> Finding {
    let left = match undo::files(tree, record) {
        Ok(outcome) if outcome.is_whole() => "the files are as they were".to_owned(),
        Ok(outcome) => outcome.left.join("; "),
        Err(other) => format!("{other:#}"),
    };
    Finding::new(
        Code::FilesNotChanged,
        Severity::Warning,
        "the files were not changed",
        format!("{error:#}; {left}"),
        "",
    )
}

fn unfinished(records: &Records) -> Result<Vec<Record>> {
    let mut all = records.all()?;
    all.retain(|record| record.state == State::Unfinished);
    Ok(all)
}

/// The changes of the plan, and those that interrupted fixes have made already:
/// this fix completes them, so that one undo undoes all.
fn items(tree: &Tree, plan: &Plan, earlier: &[Record]) -> Result<Vec<Item>> {
    let mut items: Vec<Item> = Vec::new();
    for change in &plan.files {
        let present = tree.read(&change.path)?;
        let original = present.map(|present| (present.content, present.attributes));
        let as_planned = original.as_ref().map(|(content, _)| content) == change.before.as_ref();
        ensure!(
            as_planned,
            "nothing was changed: {} has changed since the plan was made; run ctdrop fix again",
            tree.outside(&change.path).display()
        );
        items.push(Item {
            change: change.clone(),
            original,
        });
    }
    for record in earlier {
        for (number, file) in record.manifest.files.iter().enumerate() {
            let before = record.before(number)?;
            let original = before.zip(file.before.as_ref().map(|backup| backup.attributes));
            let known = items.iter_mut().find(|item| item.change.path == file.path);
            let Some(present) = tree.read(&file.path)? else {
                continue;
            };
            if digest(&present.content) != file.after {
                continue;
            }
            match known {
                Some(item) => item.original = original,
                None => items.push(Item {
                    change: FileChange {
                        path: file.path.clone(),
                        before: Some(present.content.clone()),
                        after: present.content,
                        mode: file.mode,
                        why: file.why.clone(),
                    },
                    original,
                }),
            }
        }
    }
    // Nothing left to do but what was done.
    let nothing = items
        .iter()
        .all(|item| item.change.before.as_ref() == Some(&item.change.after));
    if nothing && plan.live.is_empty() {
        items.clear();
    }
    Ok(items)
}

/// Puts on record what is about to be done, with everything that undo needs.
fn begin(
    tree: &Tree,
    records: &Records,
    plan: &Plan,
    items: &[Item],
    earlier: &[Record],
) -> Result<Record> {
    let manifest = manifest(tree, records.new_id(), plan, items, earlier)?;
    let contents: Vec<Contents<'_>> = items.iter().map(Item::contents).collect();
    records.begin(&manifest, &contents)
}

/// Describes a fix, with what the interrupted fixes that it completes have done.
fn manifest(
    tree: &Tree,
    id: String,
    plan: &Plan,
    items: &[Item],
    earlier: &[Record],
) -> Result<Manifest> {
    let earlier = || earlier.iter().map(|record| &record.manifest);
    let files = items.iter().enumerate();
    let mut directories = missing_directories(tree, items)?;
    directories.extend(earlier().flat_map(|fix| fix.directories.clone()));
    let earlier_live = earlier().flat_map(|fix| fix.live.clone());
    let live = earlier_live.chain(plan.live.iter().map(|write| Live {
        path: write.path.clone(),
        before: write.before,
        after: write.after,
    }));
    Ok(Manifest {
        time: clock::now(),
        who: Who {
            uid: getuid().as_raw(),
            sudo_user: env::var("SUDO_USER").ok(),
            command: env::args().collect(),
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        target: (plan.target.max, plan.target.buckets),
        why: plan.target.why.clone(),
        live: live.collect(),
        files: files
            .map(|(number, item)| item.record(&id, number))
            .collect(),
        directories,
        carries_on: earlier().map(|fix| fix.id.clone()).collect(),
        id,
    })
}

impl Item {
    /// How the manifest of a fix describes the change; `number` is its place there.
    fn record(&self, id: &str, number: usize) -> FileRecord {
        FileRecord {
            path: self.change.path.clone(),
            before: self.original.as_ref().map(|(content, attributes)| Backup {
                sha256: digest(content),
                attributes: *attributes,
            }),
            after: digest(&self.change.after),
            mode: self.change.mode,
            // Hidden, and with no suffix that anything reads.
            temporary: format!("{TEMPORARY}{id}-{number}"),
            why: self.change.why.clone(),
        }
    }

    /// What is in the file, before and after.
    fn contents(&self) -> Contents<'_> {
        let original = self.original.as_ref();
        Contents {
            before: original.map(|(content, _)| content.as_slice()),
            after: &self.change.after,
        }
    }
}

/// Directories that the changes need and that do not exist.
fn missing_directories(tree: &Tree, items: &[Item]) -> Result<Vec<PathBuf>> {
    let mut missing: Vec<PathBuf> = Vec::new();
    for item in items {
        for directory in item.change.path.ancestors().skip(1) {
            if tree.has_directory(directory)? {
                break;
            }
            if !missing.iter().any(|known| known == directory) {
                missing.push(directory.to_owned());
            }
        }
    }
    // Inner directories are removed first.
    missing.sort_by_key(|directory| Reverse(directory.components().count()));
    Ok(missing)
}

fn change_all(tree: &Tree, items: &[Item], record: &Record) -> Result<()> {
    for (item, file) in items.iter().zip(&record.manifest.files) {
        let change = &item.change;
        if change.before.as_ref() == Some(&change.after) {
            continue;
        }
        if let Some(parent) = change.path.parent() {
            tree.make_directories(parent)?;
        }
        let wanted = Wanted::File {
            content: &change.after,
            mode: change.mode,
            attributes: None,
        };
        tree.replace(
            &change.path,
            change.before.as_deref(),
            wanted,
            &file.temporary,
        )?;
    }
    udev::tell(tree, items.iter().map(|item| item.change.path.as_path()));
    Ok(())
}

/// Undoes all changes after an error, and returns how that went.
fn taken_back(
    root: &Path,
    tree: &Tree,
    record: &mut Record,
    error: anyhow::Error,
) -> anyhow::Error {
    let id = record.manifest.id.clone();
    match undo::take_back(root, tree, record) {
        Ok(outcome) if outcome.is_whole() => {
            error.context("the fix failed, and its changes were undone")
        }
        Ok(outcome) => error.context(format!(
            "the fix failed, and its changes were undone only in part: {}; ctdrop undo {id} tries again",
            outcome.left.join("; ")
        )),
        Err(other) => error.context(format!(
            "the fix failed, and its changes could not be undone ({other:#}); ctdrop undo {id} tries \
             again"
        )),
    }
}

/// Reads everything again.
fn verified(root: &Path, plan: &Plan, id: Option<String>) -> Result<Applied> {
    let read = || Facts::read(&Root::open(root)?);
    let facts = read().context("the fix was made, but cannot be verified")?;
    let survives = simulate(&facts, Start::of(&facts));
    let mut shortfalls = shortfalls(&facts, &survives, plan.target.max);
    shortfalls.extend(plan.live.iter().filter_map(|write| {
        let now = live::read(&write.path);
        match now {
            Ok(now) if now >= write.after => None,
            Ok(now) => Some(Finding::new(
                Code::LimitChangedBack,
                Severity::Warning,
                format!("{} is {} again", write.path.display(), number(now)),
                "another program has written it",
                "",
            )),
            Err(error) => Some(Finding::new(
                Code::NumbersUnreadable,
                Severity::Warning,
                format!("{} cannot be read", write.path.display()),
                format!("{error:#}"),
                "",
            )),
        }
    }));
    Ok(Applied {
        id,
        survives,
        shortfalls,
    })
}
