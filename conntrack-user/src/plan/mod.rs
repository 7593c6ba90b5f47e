//! What is to be done on a host so that a size is in force now, after a boot,
//! after a restart of its firewall service and after a reload of the module.
//!
//! Nothing is changed by planning. Each change is laid over the tree, the facts
//! are read anew and what survives is simulated again, until it is the limit
//! that was wanted or nothing more can be done about it in files of the host.

pub mod demand;
pub mod diff;
mod draft;
pub mod edit;
mod mend;
mod model;
pub mod notes;
mod places;
mod purpose;
pub mod script;
mod services;
pub mod sizing;
pub(crate) mod text;

use anyhow::Result;

pub(crate) use crate::plan::model::shortfalls;
pub use crate::plan::model::{Current, FileChange, LiveWrite, Note, Plan};
use crate::{
    facts::{Facts, distribution::Family, live_files::LiveFiles, root::Root},
    plan::{draft::Draft, sizing::Size},
    say::finding::{Code, Finding, Severity},
    survival::{Caveat, Start, simulate},
};

/// How a plan is to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Lines that say something else and do not count are made comments.
    pub edit_conflicts: bool,
}

/// Makes a plan.
pub fn plan(root: &Root, facts: &Facts, size: Size, options: Options) -> Result<Plan> {
    let before = simulate(facts, Start::of(facts));
    let mut draft = Draft::new(root, facts.clone());
    let mut notes = Vec::new();
    if is_sealed(facts) {
        let lasting = simulate(facts, Start::AfterBoot);
        if !shortfalls(&lasting, size.max).is_empty() {
            notes.push(notes::sealed(facts, &size));
        }
    } else if let Some(owner) = notes::owner(facts) {
        notes.extend(notes::knob(owner, facts, &size));
    } else {
        mend::files(&mut draft, &size, options.edit_conflicts)?;
        notes.extend(notes::advice(&draft.facts, &size));
    }
    let live = if root.is_this_host() {
        live(facts, &size, &mut notes)
    } else {
        Vec::new()
    };
    let after = simulate(&draft.facts, start_after(facts, &live, &size));
    let mut warnings = size.warnings.clone();
    warnings.append(&mut draft.warnings);
    warnings.extend(shortfalls(&after, size.max));
    warnings.extend(after.caveats().into_iter().map(Caveat::finding));
    notes.append(&mut draft.notes);
    Ok(Plan {
        current: Current {
            max: facts.numbers.limits.max,
            buckets: facts.numbers.limits.buckets,
        },
        target: size,
        live,
        files: draft.files(),
        notes,
        before,
        after,
        warnings,
    })
}

/// What is in force when a restart or a reload comes, once the plan is done.
fn start_after(facts: &Facts, live: &[LiveWrite], size: &Size) -> Start {
    match Start::of(facts) {
        Start::Now { .. } if !live.is_empty() => Start::Now {
            max: size.max,
            buckets: Some(size.buckets),
        },
        start => start,
    }
}

/// The kernel's own variables.
fn live(facts: &Facts, size: &Size, notes: &mut Vec<Note>) -> Vec<LiveWrite> {
    if let Some(note) = notes::undone_at_once(facts, size) {
        notes.push(note);
        return Vec::new();
    }
    let limits = facts.numbers.limits;
    let Some(max) = limits.max else {
        return Vec::new();
    };
    let files = LiveFiles::of(&facts.kernel);
    let mut writes = Vec::new();
    if let Some(buckets) = limits.buckets
        && buckets < size.buckets
    {
        writes.push(LiveWrite {
            path: files.buckets,
            before: Some(buckets),
            after: size.buckets,
            why: "raised before the limit, so that hash chains stay short".to_owned(),
        });
    }
    if max != size.max {
        writes.push(LiveWrite {
            path: files.max,
            before: Some(max),
            after: size.max,
            why: "sets the limit now".to_owned(),
        });
    }
    writes
}

/// That nobody can say what fills the table.
pub(crate) fn filling_unknown(why: impl Into<String>) -> Finding {
    Finding::new(
        Code::FillingUnknown,
        Severity::Warning,
        "it is unknown what fills the table, so a leak or a flood would not be noticed",
        why,
        "",
    )
}

/// Whether files of a host are made from something else, so that a change would
/// be lost or refused.
fn is_sealed(facts: &Facts) -> bool {
    facts.distribution.family == Family::NixOs || facts.distribution.name.starts_with("Talos")
}
