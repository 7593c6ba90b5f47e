//! What came of a plan, and which fixes are kept, as people read it.

use std::path::Path;

use crate::{
    apply::{
        Applied,
        record::{Record, State},
        undo::Undone,
    },
    plan::Plan,
    say::{
        number::{counted, number},
        text::plain,
    },
};

/// What came of it.
pub(crate) fn applied(plan: &Plan, applied: &Applied, root: &Path) -> Vec<String> {
    let Some(id) = &applied.id else {
        return Vec::new();
    };
    let mut lines = vec![format!(
        "Done: {} changed, {} written.",
        counted(plan.files.len() as u64, "file"),
        counted(plan.live.len() as u64, "kernel variable")
    )];
    if applied.shortfalls.is_empty() {
        lines.push(format!(
            "Verified: the limit is at least {} after a boot, each restart and a reload.",
            number(plan.target.max)
        ));
    }
    let root = if root == Path::new("/") {
        String::new()
    } else {
        format!(" --root {}", root.display())
    };
    lines.push(plain(&format!("To undo it: ctdrop undo{root} {id}")));
    lines
}

/// What was taken back.
pub(crate) fn undone(undone: &Undone, root: &Path) -> Vec<String> {
    let mut lines: Vec<String> = undone
        .restored
        .iter()
        .map(|path| plain(&format!("{} is restored", path.display())))
        .collect();
    if lines.is_empty() {
        lines.push(plain(&format!(
            "no file of {} had to be restored",
            root.display()
        )));
    }
    if undone.is_whole() {
        lines.push(format!("{} is undone.", undone.id));
    }
    lines
}

/// A fix that is kept, on a line.
pub(crate) fn record(record: &Record) -> String {
    let manifest = &record.manifest;
    let state = match record.state {
        State::Unfinished => "interrupted",
        State::Applied => "in force",
        State::PartlyUndone => "undone in part",
        State::Undone => "undone",
        State::CarriedOn => "completed by a later fix",
    };
    let who = match &manifest.who.sudo_user {
        Some(user) => format!("{user} with sudo"),
        None => format!("user {}", manifest.who.uid),
    };
    plain(&format!(
        "{}  limit {}, {}, by {who}: {state}",
        manifest.id,
        number(manifest.target.0),
        counted(manifest.files.len() as u64, "file")
    ))
}
