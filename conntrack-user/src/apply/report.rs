//! The JSON of a plan, of its outcome, and of recorded and undone fixes
//! (docs/json.md).

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{
    apply::{
        Applied,
        record::{Manifest, Record, State},
        undo::Undone,
    },
    facts::Facts,
    incident::Incident,
    plan::{Current, Note, Plan, demand::Wanted, diff},
    say::{clock, finding::Finding},
    survival::{Origin, Outcome},
};

/// A plan and its outcome.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "fix")]
pub(crate) struct FixReport<'a> {
    time: String,
    version: &'static str,
    distribution: &'a str,
    current: Current,
    target: Current,
    incident: &'a Incident,
    why: &'a [String],
    /// The load that the target was worked out from.
    demand: Option<Wanted>,
    steps: Vec<Step<'a>>,
    survives: Survives<'a>,
    notes: &'a [Note],
    warnings: &'a [Finding],
    /// Whether it was applied.
    applied: bool,
    /// Name for undo.
    id: Option<&'a str>,
    /// What is not as wanted after it was applied.
    shortfalls: &'a [Finding],
}

/// Something that is done.
#[derive(Debug, Serialize)]
struct Step<'a> {
    kind: Kind,
    path: &'a Path,
    before: Option<String>,
    after: String,
    why: String,
    diff: Option<String>,
}

/// Of what kind a step is.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A variable of the running kernel is written.
    Live,
    /// A file is made.
    Create,
    /// A file is changed.
    Edit,
}

/// What survives, before and after.
#[derive(Debug, Serialize)]
struct Survives<'a> {
    boot: Change<'a>,
    service_restart: Change<'a>,
    module_reload: Change<'a>,
}

#[derive(Debug, Serialize)]
struct Change<'a> {
    before: Option<u64>,
    after: Option<u64>,
    because: &'a Origin,
}

impl<'a> Change<'a> {
    const fn of(before: &Outcome, after: &'a Outcome) -> Self {
        Self {
            before: before.value,
            after: after.value,
            because: &after.origin,
        }
    }
}

impl<'a> FixReport<'a> {
    pub(crate) fn of(
        facts: &'a Facts,
        incident: &'a Incident,
        plan: &'a Plan,
        applied: Option<&'a Applied>,
    ) -> Self {
        let after = applied.map_or(&plan.after, |applied| &applied.survives);
        let before = &plan.before;
        Self {
            time: clock::now(),
            version: env!("CARGO_PKG_VERSION"),
            distribution: &facts.distribution.name,
            current: plan.current,
            target: Current {
                max: Some(plan.target.max),
                buckets: Some(plan.target.buckets),
            },
            incident,
            why: &plan.target.why,
            demand: plan.target.demand,
            steps: steps(plan),
            survives: Survives {
                boot: Change::of(&before.boot, &after.boot),
                service_restart: Change::of(&before.service_restart, &after.service_restart),
                module_reload: Change::of(&before.module_reload, &after.module_reload),
            },
            notes: &plan.notes,
            warnings: &plan.warnings,
            applied: applied.is_some_and(|applied| applied.id.is_some()),
            id: applied.and_then(|applied| applied.id.as_deref()),
            shortfalls: applied.map_or(&[], |applied| &applied.shortfalls),
        }
    }
}

fn steps(plan: &Plan) -> Vec<Step<'_>> {
    let live = plan.live.iter().map(|write| Step {
        kind: Kind::Live,
        path: &write.path,
        before: write.before.map(|value| value.to_string()),
        after: write.after.to_string(),
        why: write.why.clone(),
        diff: None,
    });
    let text = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
    let files = plan.files.iter().map(|file| Step {
        kind: if file.before.is_some() {
            Kind::Edit
        } else {
            Kind::Create
        },
        path: &file.path,
        before: file.before.as_deref().map(text),
        after: text(&file.after),
        why: file.why.join("; "),
        diff: Some(diff::unified(
            &file.path.to_string_lossy(),
            file.before.as_deref(),
            Some(&file.after),
        )),
    });
    live.chain(files).collect()
}

/// A fix that was undone.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "undo")]
pub(crate) struct UndoReport<'a> {
    id: &'a str,
    restored: &'a [PathBuf],
    left: &'a [String],
}

impl<'a> UndoReport<'a> {
    pub(crate) fn of(undone: &'a Undone) -> Self {
        Self {
            id: &undone.id,
            restored: &undone.restored,
            left: &undone.left,
        }
    }
}

/// A recorded fix.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "kept_fix")]
pub(crate) struct KeptFix<'a> {
    state: State,
    #[serde(flatten)]
    manifest: &'a Manifest,
}

impl<'a> KeptFix<'a> {
    pub(crate) const fn of(record: &'a Record) -> Self {
        Self {
            state: record.state,
            manifest: &record.manifest,
        }
    }
}
