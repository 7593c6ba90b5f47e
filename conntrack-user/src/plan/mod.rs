//! What must change on a host so that a size is in force now, after a boot, after a
//! restart of its firewall service and after a reload of the module.
//!
//! Planning changes nothing. Each change is laid over the tree, the facts are read
//! again and what survives is simulated again, until that is the wanted limit, or
//! no change of a file helps any more.

pub mod demand;
pub mod diff;
mod draft;
pub mod edit;
mod intended;
mod knobs;
mod mend;
mod model;
pub(crate) mod module_option;
pub mod notes;
mod places;
mod purpose;
pub mod script;
mod services;
mod settings_file;
pub mod sizing;
pub(crate) mod text;

use anyhow::Result;

pub(crate) use crate::plan::model::shortfalls;
pub use crate::plan::model::{Current, FileChange, LiveWrite, Note, Plan};
use crate::{
    facts::{Facts, distribution::Family, live_files::LiveFiles, root::Root},
    plan::{draft::Draft, sizing::Size},
    say::{
        finding::{Code, Finding, Severity},
        number::{counted, shortened},
    },
    survival::{Caveat, Start, simulate},
};

/// How a plan is to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Comment out lines that another line overrides.
    pub edit_conflicts: bool,
}

/// Makes a plan.
pub fn plan(root: &Root, facts: &Facts, size: Size, options: Options) -> Result<Plan> {
    let before = simulate(facts, Start::of(facts));
    let mut draft = Draft::new(root, facts.clone());
    let mut notes = Vec::new();
    if facts.appliance.is_some() {
        let boot = simulate(facts, Start::AfterBoot).boot;
        if !size.is_met_by(boot.value) {
            notes.push(notes::by_hand(facts, &size));
        }
    } else if is_sealed(facts) {
        let survival = simulate(facts, Start::AfterBoot);
        if !shortfalls(facts, &survival, size.max).is_empty() {
            notes.push(notes::sealed(facts, &size));
        }
    } else if let Some(owner) = notes::owner(facts) {
        notes.extend(notes::knob(owner, facts, &size));
    } else if !facts.applier.is_known() {
        let boot = simulate(facts, Start::AfterBoot).boot;
        if !size.is_met_by(boot.value) {
            notes.push(notes::by_hand(facts, &size));
        }
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
    warnings.extend(shortfalls(&draft.facts, &after, size.max));
    warnings.extend(after.caveats().into_iter().map(Caveat::finding));
    warnings.extend(programs_not_in_tree(facts));
    notes.append(&mut draft.notes);
    notes.dedup();
    draft.complete_purposes(&after);
    refer_to_notes(&mut warnings, &notes);
    let mut plan = Plan {
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
    };
    let overshoots = model::overshoots(&plan, sizing::affordable(facts));
    plan.warnings.extend(overshoots);
    Ok(plan)
}

/// What is in force before a restart or a reload, once the plan is applied.
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

/// That the files which are planned for are a container's.
pub(crate) fn in_a_container(note: impl Into<String>) -> Finding {
    Finding::new(
        Code::InContainer,
        Severity::Unknown,
        note,
        "no file of the container decides the limit of the host, and what is refused on the host \
         cannot be seen",
        "run ctdrop on the host, or with --root on the host's mounted files",
    )
}

/// A remedy that a note gives already, with the text to put there, is not said twice.
fn refer_to_notes(warnings: &mut [Finding], notes: &[Note]) {
    for warning in warnings {
        let is_said = |note: &Note| note.what.ends_with(&warning.remedy);
        if warning.code == Code::LimitNotKept && notes.iter().any(is_said) {
            "do what \"To do elsewhere\" says".clone_into(&mut warning.remedy);
        }
    }
}

/// Programs that start with the host and are not in its copied tree.
pub(crate) fn programs_not_in_tree(facts: &Facts) -> Option<Finding> {
    let absent = &facts.absent_programs;
    let first = absent.first()?;
    let paths: Vec<&str> = absent.iter().map(|(path, _)| path.as_str()).collect();
    Some(Finding::new(
        Code::PredictionIncomplete,
        Severity::Info,
        format!(
            "the prediction is incomplete: {} that this host runs {} not in the tree",
            counted(absent.len() as u64, "program"),
            if absent.len() == 1 { "is" } else { "are" }
        ),
        format!("{}; {} names the first", shortened(&paths), first.1),
        "if one of them may set the limit, copy it into the tree with cp",
    ))
}

/// Whether the files of a host are generated, so that a change would be lost or
/// refused.
fn is_sealed(facts: &Facts) -> bool {
    facts.distribution.family == Family::NixOs || facts.distribution.name.starts_with("Talos")
}
