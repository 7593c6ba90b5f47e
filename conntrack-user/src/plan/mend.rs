//! The files of a host, changed until the limit lasts.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::{
    facts::{Facts, sysctl::Variable},
    plan::{draft::Draft, places, services, sizing::Size},
    survival::{Action, Event, Outcome, Start, simulate},
};

/// How often a plan is looked at again: each time mends one line or more.
const ROUNDS: usize = 32;

/// Changes files until everything leads to the limit, or nothing more can be done
/// about it in files of the host.
pub(crate) fn files(draft: &mut Draft<'_>, size: &Size, comment_out: bool) -> Result<()> {
    if lasts_already(&draft.facts, size) {
        return places::losers(draft, size, comment_out);
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
    places::losers(draft, size, comment_out)
}

/// Whether all that happens leads to the limit, and to the buckets, as it is.
fn lasts_already(facts: &Facts, size: &Size) -> bool {
    let survival = simulate(facts, Start::AfterBoot);
    let mut outcomes = survival.outcomes().into_iter();
    outcomes
        .all(|(_, outcome)| size.is_met_by(outcome.value) && outcome.buckets >= Some(size.buckets))
}

/// Looks at what survives, and mends the first thing that is not as wanted.
/// Says whether anything was changed.
fn mend(draft: &mut Draft<'_>, size: &Size) -> Result<bool> {
    let survival = simulate(&draft.facts, Start::AfterBoot);
    for (event, outcome) in survival.outcomes() {
        if mend_outcome(draft, size, outcome, event)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn mend_outcome(
    draft: &mut Draft<'_>,
    size: &Size,
    outcome: &Outcome,
    event: Event<'_>,
) -> Result<bool> {
    if size.is_met_by(outcome.value) {
        return Ok(false);
    }
    // A line that decides, and says something else.
    if let (Some(file), Some(line)) = (&outcome.because.file, outcome.because.line)
        && setting_at(&draft.facts, file, line, Variable::Max)
    {
        return if places::is_ours_to_edit(file) {
            let why = format!("it decides the limit after {event}");
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
        let key = draft.facts.kernel.generation.max_sysctl();
        let (file, line) = (source.file.clone(), source.line);
        return draft.rewrite(&file, line, key, size.max);
    }
    // Only where something reads a setting then.
    if places::reads_settings(draft, event) {
        return places::add_setting(draft, size, event, None);
    }
    Ok(false)
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
