//! Bringing a plan about: what is needed to take it back goes to the disk first,
//! then the running kernel, then file by file.

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

/// What has been brought about.
#[derive(Debug)]
pub struct Applied {
    /// Name by which it can be taken back; none if there was nothing to do.
    pub id: Option<String>,
    /// What survives now, by the files as they are.
    pub survives: Survival,
    /// What does not hold.
    pub shortfalls: Vec<Finding>,
}

/// A file to be changed, with what was there before the first fix that touched
/// it and was cut off.
struct Item {
    change: FileChange,
    original: Option<(Vec<u8>, Attributes)>,
}

/// Brings a plan about on the tree at `root`. If a file cannot be changed, those
/// that have been are changed back.
pub fn apply(root: &Path, plan: &Plan) -> Result<Applied> {
    bring_about(root, plan, Kernel::ToBeWritten)
}

/// Brings a plan about whose values the running kernel has been given already:
/// it keeps them, whatever becomes of the files, and a later undo takes them
/// back. A file that cannot be changed is a shortfall; the others are then as
/// they were.
pub fn keep(root: &Path, plan: &Plan) -> Result<Applied> {
    bring_about(root, plan, Kernel::Written)
}

/// Whether the running kernel has the values of a plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernel {
    ToBeWritten,
    Written,
}

fn bring_about(root: &Path, plan: &Plan, kernel: Kernel) -> Result<Applied> {
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
        // All of it had been done but the last mark.
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

/// Takes the files back, after an error, and says how that went.
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

/// The changes of the plan, and those that fixes which were cut off have made
/// already: they are carried on, so that one undo takes back all.
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

fn begin(
    tree: &Tree,
    records: &Records,
    plan: &Plan,
    items: &[Item],
    earlier: &[Record],
) -> Result<Record> {
    let id = records.new_id();
    let files = items
        .iter()
        .enumerate()
        .map(|(number, item)| FileRecord {
            path: item.change.path.clone(),
            before: item.original.as_ref().map(|(content, attributes)| Backup {
                sha256: digest(content),
                attributes: *attributes,
            }),
            after: digest(&item.change.after),
            mode: item.change.mode,
            // Hidden, and of no suffix that anything reads.
            temporary: format!("{TEMPORARY}{id}-{number}"),
            why: item.change.why.clone(),
        })
        .collect();
    let mut directories = missing_directories(tree, items)?;
    directories.extend(
        earlier
            .iter()
            .flat_map(|record| record.manifest.directories.clone()),
    );
    let earlier_live = earlier
        .iter()
        .flat_map(|record| record.manifest.live.clone());
    let live = earlier_live.chain(plan.live.iter().map(|write| Live {
        path: write.path.clone(),
        before: write.before,
        after: write.after,
    }));
    let manifest = Manifest {
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
        files,
        directories,
        carries_on: earlier
            .iter()
            .map(|record| record.manifest.id.clone())
            .collect(),
        id,
    };
    let contents: Vec<Contents<'_>> = items
        .iter()
        .map(|item| Contents {
            before: item
                .original
                .as_ref()
                .map(|(content, _)| content.as_slice()),
            after: &item.change.after,
        })
        .collect();
    records.begin(&manifest, &contents)
}

/// Directories that the changes need and that are not there.
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
    // What is inside goes first when they are taken away.
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

/// Takes back what was done, after an error, and says how that went.
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

/// Looks at what is there now.
fn verified(root: &Path, plan: &Plan, id: Option<String>) -> Result<Applied> {
    let read = || Facts::read(&Root::open(root)?);
    let facts = read().context("the fix was made, but cannot be verified")?;
    let survives = simulate(&facts, Start::of(&facts));
    let mut shortfalls = shortfalls(&survives, plan.target.max);
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
