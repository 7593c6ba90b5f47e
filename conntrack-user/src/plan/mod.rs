//! What is to be done on a host so that a size is in force now, after a boot,
//! after a restart of its firewall service and after a reload of the module.
//!
//! Nothing is changed by planning. Each change is laid over the tree, the facts
//! are read anew and what survives is simulated again, until it is the limit
//! that was wanted or nothing more can be done about it in files of the host.

pub mod diagnosis;
pub mod diff;
mod draft;
pub mod edit;
pub mod notes;
pub mod occupants;
mod places;
pub mod script;
mod services;
pub mod sizing;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::{
    facts::{
        Facts,
        distribution::Family,
        host_kernel::Form,
        init::Init,
        root::{Overlay, Planned, Root},
        sysctl::Variable,
    },
    plan::{
        draft::{Change, Draft},
        notes::Note,
        sizing::{Size, reaches},
    },
    survival::{Action, Outcome, Start, Survival, simulate},
};

/// A plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Limit and buckets now; none of a host that does not run.
    pub current: Current,
    /// What is to be.
    pub target: Size,
    /// The kernel's own variables, in the order in which they are written;
    /// empty for a tree.
    pub live: Vec<LiveWrite>,
    /// Files to be changed or made, by path inside the tree.
    pub files: Vec<FileChange>,
    /// What is to be done elsewhere.
    pub notes: Vec<Note>,
    /// What survives as it is.
    pub before: Survival,
    /// What survives then.
    pub after: Survival,
    /// What could not be brought about, and what is odd; each as a sentence.
    pub warnings: Vec<String>,
}

/// Limit and buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Current {
    /// The limit.
    pub max: Option<u64>,
    /// The buckets.
    pub buckets: Option<u64>,
}

/// A variable of the kernel that is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveWrite {
    /// Its file.
    pub path: PathBuf,
    /// What it holds.
    pub before: Option<u64>,
    /// What it is to hold.
    pub after: u64,
    /// Why.
    pub why: String,
}

/// A file that is changed or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Path inside the tree, without symbolic links.
    pub path: PathBuf,
    /// What is in it; none if there is none.
    pub before: Option<Vec<u8>>,
    /// What will be in it.
    pub after: Vec<u8>,
    /// Its permissions, if it is new.
    pub mode: u32,
    /// Why, each as a sentence.
    pub why: Vec<String>,
}

/// How often a plan is looked at again: each time mends one line or more.
const ROUNDS: usize = 32;

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
        draft_files(&mut draft, &size, options)?;
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
    for caveat in caveats(&after) {
        if !warnings.contains(caveat) {
            warnings.push(caveat.clone());
        }
    }
    notes.append(&mut draft.notes);
    Ok(Plan {
        current: Current {
            max: facts.numbers.limits.max,
            buckets: facts.numbers.limits.buckets,
        },
        target: size,
        live,
        files: files(draft.changes),
        notes,
        before,
        after,
        warnings,
    })
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.files.is_empty()
    }

    /// The tree as it will be.
    pub fn overlay(&self) -> Overlay {
        overlay(self.files.iter().map(|file| {
            (
                file.path.clone(),
                file.after.clone(),
                file.mode & 0o111 != 0,
            )
        }))
    }

    /// Whether the limit holds after a boot, each restart and a reload.
    pub fn holds(&self) -> bool {
        shortfalls(&self.after, self.target.max).is_empty()
    }
}

/// Changes laid over a tree.
pub(crate) fn overlay(files: impl Iterator<Item = (PathBuf, Vec<u8>, bool)>) -> Overlay {
    files
        .map(|(path, content, executable)| {
            (
                path,
                Planned::File {
                    content,
                    executable,
                },
            )
        })
        .collect()
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

/// Where the limit would be lower than wanted.
pub(crate) fn shortfalls(survival: &Survival, max: u64) -> Vec<String> {
    let services = survival.services.iter();
    let restarts = services.map(|service| {
        (
            format!("a restart of {}", service.service),
            &service.outcome,
        )
    });
    [
        ("a boot".to_owned(), &survival.boot),
        ("a reload of the module".to_owned(), &survival.module_reload),
    ]
    .into_iter()
    .chain(restarts)
    .filter(|(_, outcome)| !reaches(outcome.value, max))
    .map(|(event, outcome)| {
        let value = outcome
            .value
            .map_or_else(|| "something unknown".to_owned(), |value| value.to_string());
        format!("{event} still leads to {value}: {}", outcome.because.why)
    })
    .collect()
}

/// What it rests on that it holds.
fn caveats(survival: &Survival) -> impl Iterator<Item = &String> {
    let services = survival.services.iter().map(|service| &service.outcome);
    [&survival.boot, &survival.module_reload]
        .into_iter()
        .chain(services)
        .flat_map(|outcome| &outcome.caveats)
}

fn files(changes: BTreeMap<PathBuf, Change>) -> Vec<FileChange> {
    changes
        .into_iter()
        .filter(|(_, change)| change.before.as_ref() != Some(&change.after))
        .map(|(path, change)| FileChange {
            path,
            before: change.before,
            after: change.after,
            mode: change.mode,
            why: change.why,
        })
        .collect()
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
    let knobs = crate::apply::live::Knobs::of(facts);
    let mut writes = Vec::new();
    if let Some(buckets) = limits.buckets
        && buckets < size.buckets
    {
        writes.push(LiveWrite {
            path: knobs.buckets,
            before: Some(buckets),
            after: size.buckets,
            why: "before the limit, so that chains do not grow too long".to_owned(),
        });
    }
    if max != size.max {
        writes.push(LiveWrite {
            path: knobs.max,
            before: Some(max),
            after: size.max,
            why: "the limit, from now on".to_owned(),
        });
    }
    writes
}

fn draft_files(draft: &mut Draft<'_>, size: &Size, options: Options) -> Result<()> {
    if lasts_already(&draft.facts, size) {
        return places::losers(draft, size, options.edit_conflicts);
    }
    places::hashsize(draft, size)?;
    places::load_early(draft)?;
    services::lists(draft)?;
    places::udev(draft)?;
    places::buckets(draft, size)?;
    let mut rounds = 0;
    while mend(draft, size)? {
        rounds += 1;
        ensure!(
            rounds < ROUNDS,
            "the files of this host contradict each other in a way that {ROUNDS} changes do not mend; \
             nothing was changed"
        );
    }
    places::aliases(draft, size)?;
    places::leftovers(draft, size)?;
    places::losers(draft, size, options.edit_conflicts)
}

/// Whether all that happens leads to the limit, and to the buckets, as it is.
fn lasts_already(facts: &Facts, size: &Size) -> bool {
    let survival = simulate(facts, Start::AfterBoot);
    let restarts = survival.services.iter().map(|service| &service.outcome);
    [&survival.boot, &survival.module_reload]
        .into_iter()
        .chain(restarts)
        .all(|outcome| size.is_met_by(outcome.value) && outcome.buckets >= Some(size.buckets))
}

/// Looks at what survives, and mends the first thing that is not as wanted.
/// Says whether anything was changed.
fn mend(draft: &mut Draft<'_>, size: &Size) -> Result<bool> {
    let survival = simulate(&draft.facts, Start::AfterBoot);
    if mend_outcome(draft, size, &survival.boot, &Event::Boot)? {
        return Ok(true);
    }
    for service in &survival.services {
        let event = Event::Restart(service.service.clone());
        if mend_outcome(draft, size, &service.outcome, &event)? {
            return Ok(true);
        }
    }
    mend_outcome(draft, size, &survival.module_reload, &Event::Reload)
}

/// What leads to an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A boot.
    Boot,
    /// A restart of this service.
    Restart(String),
    /// A reload of the module.
    Reload,
}

fn mend_outcome(
    draft: &mut Draft<'_>,
    size: &Size,
    outcome: &Outcome,
    event: &Event,
) -> Result<bool> {
    if size.is_met_by(outcome.value) {
        return Ok(false);
    }
    // A line that decides, and says something else.
    if let (Some(file), Some(line)) = (&outcome.because.file, outcome.because.line)
        && setting_at(&draft.facts, file, line, Variable::Max)
    {
        return if places::is_ours_to_edit(file) {
            let why = format!("it decides the limit after {}", event.name());
            draft.set_value(file, line, size.max, &why)
        } else {
            places::add_setting(draft, size, event, Some(file))
        };
    }
    // Somebody else decides, who is not fought.
    let writer = outcome.because.file.as_ref().is_some_and(|file| {
        let mut sets = draft
            .facts
            .writers
            .iter()
            .filter_map(|writer| writer.sets.as_ref());
        sets.any(|sets| sets.source.file == *file && Some(sets.source.line) == outcome.because.line)
    });
    if writer {
        return Ok(false);
    }
    // A line that is read and refused, by its name or its form.
    let refused = outcome.steps.iter().rev().find_map(|step| {
        let source = step.source.as_ref()?;
        (step.does == Action::Refused && places::is_ours_to_edit(&source.file)).then_some(source)
    });
    if let Some(source) = refused {
        let key = places::key(&draft.facts);
        let (file, line) = (source.file.clone(), source.line);
        return draft.rewrite(&file, line, key, size.max);
    }
    // Only where something reads a setting then.
    if places::reads_settings(draft, event) {
        return places::add_setting(draft, size, event, None);
    }
    Ok(false)
}

impl Event {
    /// What it is called.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Boot => "a boot".to_owned(),
            Self::Restart(service) => format!("a restart of {service}"),
            Self::Reload => "a reload of the module".to_owned(),
        }
    }
}

/// Whether files of a host are made from something else, so that a change would
/// be lost or refused.
fn is_sealed(facts: &Facts) -> bool {
    facts.distribution.family == Family::NixOs || facts.distribution.name.starts_with("Talos")
}

/// Whether conntrack can be given options when it is loaded.
pub(crate) fn is_module(facts: &Facts) -> bool {
    facts.kernel.form == Form::Module
}

/// Whether systemd starts the host.
pub(crate) fn has_systemd(facts: &Facts) -> bool {
    matches!(facts.init, Init::Systemd { .. })
}

/// A path that is known to be one of a file of settings with this line in it.
fn setting_at(facts: &Facts, file: &Path, number: u32, variable: Variable) -> bool {
    let ufw = facts.ufw.iter().filter_map(|ufw| ufw.sysctl.as_ref());
    let mut all = facts
        .sysctl
        .all()
        .map(|file| (&file.file, &file.lines))
        .chain(ufw.map(|sysctl| (&sysctl.file, &sysctl.lines)));
    all.any(|(path, lines)| {
        path == file
            && lines
                .iter()
                .any(|line| line.number == number && line.key.variable() == Some(variable))
    })
}
