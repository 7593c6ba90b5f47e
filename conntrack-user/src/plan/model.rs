//! A plan as plain data.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    facts::{
        Facts,
        root::overlay::{Overlay, Planned},
        writers::Writer,
    },
    kernel::limits::comparable,
    plan::sizing::{Size, reaches},
    say::{
        finding::{Code, Finding, Severity},
        number::number,
    },
    survival::{Event, Origin, Outcome, Survival},
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
    /// What the plan cannot do, and what speaks against it.
    pub warnings: Vec<Finding>,
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

/// Something to be done elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What, as a sentence.
    pub what: String,
    /// Why.
    pub why: String,
    /// The text to be put there; empty if there is none.
    pub snippet: String,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.files.is_empty()
    }

    /// The tree as it will be.
    pub fn overlay(&self) -> Overlay {
        overlay(&self.files)
    }

    /// Whether the limit holds after a boot, each restart and a reload.
    pub fn holds(&self) -> bool {
        lost(&self.after, self.target.max).next().is_none()
    }
}

/// A tree as it is with changes.
pub(crate) fn overlay<'f>(files: impl IntoIterator<Item = &'f FileChange>) -> Overlay {
    files
        .into_iter()
        .map(|file| {
            let planned = Planned::File {
                content: file.after.clone(),
                executable: file.mode & 0o111 != 0,
            };
            (file.path.clone(), planned)
        })
        .collect()
}

/// What leads to a lower limit than wanted.
fn lost(survival: &Survival, max: u64) -> impl Iterator<Item = (Event, &Outcome)> {
    survival
        .outcomes()
        .into_iter()
        .filter(move |(event, outcome)| {
            can_change_limit(event, outcome) && !reaches(outcome.value, max)
        })
}

/// Where the limit would be lower than wanted.
pub(crate) fn shortfalls(facts: &Facts, survival: &Survival, max: u64) -> Vec<Finding> {
    lost(survival, max)
        .map(|(event, outcome)| {
            Finding::new(
                Code::LimitNotKept,
                Severity::Warning,
                match outcome.value {
                    Some(value) => format!("{event} still leads to a limit of {}", number(value)),
                    None => format!("{event} still leads to an unknown limit"),
                },
                outcome.origin.why(),
                not_kept(facts, &event, &outcome.origin, max),
            )
        })
        .collect()
}

/// What keeps the limit where no change of a file does.
fn not_kept(facts: &Facts, event: &Event, origin: &Origin, max: u64) -> String {
    let key = facts.kernel.generation.max_sysctl();
    match origin.inner() {
        Origin::Writer { source, .. } | Origin::Unknown { source, .. } => {
            let decides = |writer: &&Writer| {
                let sets = writer.sets.as_ref();
                sets.is_some_and(|sets| {
                    let mut acts = sets.acts.iter();
                    sets.source == *source || acts.any(|act| act.source == *source)
                })
            };
            let writer = facts.writers.iter().find(decides);
            writer.map_or_else(
                || format!("set the limit in the line {source}, or delete it"),
                |writer| writer.knob.clone(),
            )
        }
        Origin::Setting { source, .. } => format!("set the limit in the line {source}"),
        Origin::UnknownInit { .. } => {
            format!(
                "set the limit in {}: sysctl -w {key}={max}",
                facts.init.start_script()
            )
        }
        _ => format!("set the limit again after {event}: sysctl -w {key}={max}"),
    }
}

/// Whether something happens to the limit at all: what is built in cannot be
/// reloaded, and a restart may leave the limit as it is.
fn can_change_limit(event: &Event, outcome: &Outcome) -> bool {
    let built_in = *event == Event::Reload && matches!(outcome.origin, Origin::BuiltIn(_));
    !built_in && !matches!(outcome.origin, Origin::Current)
}

/// Where the module's option makes the limit higher than wanted: a warning if that is
/// new and takes too much memory.
pub(crate) fn overshoots(plan: &Plan, affordable: Option<u64>) -> Vec<Finding> {
    let max = plan.target.max;
    let raised = plan.after.outcomes().into_iter().filter(|(_, outcome)| {
        outcome.value > Some(max) && matches!(outcome.origin.inner(), Origin::ModuleOption { .. })
    });
    raised
        .map(|(event, outcome)| {
            let value = outcome.value.unwrap_or(0);
            let is_new = is_raised_to(&plan.before, &event, outcome, max);
            let too_much =
                affordable.filter(|&affordable| is_new && value > affordable && max <= affordable);
            Finding::new(
                Code::LimitHigher,
                match too_much {
                    Some(_) => Severity::Warning,
                    None => Severity::Info,
                },
                format!(
                    "{event} leads to a limit of {}, more than the {} wanted",
                    number(value),
                    number(max)
                ),
                outcome.origin.why(),
                too_much.map_or_else(String::new, |affordable| {
                    format!(
                        "choose a lower limit: {} entries take 10 % of the memory",
                        number(affordable)
                    )
                }),
            )
        })
        .collect()
}

/// Whether something leads to a limit, or above it, by the module's option, and did
/// not lead there before.
pub(crate) fn is_raised_to(before: &Survival, event: &Event, outcome: &Outcome, max: u64) -> bool {
    let earlier = before
        .outcomes()
        .into_iter()
        .find(|(known, _)| known == event);
    let earlier = earlier.and_then(|(_, outcome)| outcome.value);
    let option = matches!(outcome.origin.inner(), Origin::ModuleOption { .. });
    option
        && outcome.value.is_some_and(|value| {
            value >= max && earlier.is_none_or(|earlier| comparable(earlier) < value)
        })
}
