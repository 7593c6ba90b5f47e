//! The files of a host, changed until the limit lasts.

use anyhow::{Result, ensure};

use crate::{
    facts::Facts,
    plan::{draft::Draft, places, purpose::Purpose, services, sizing::Size},
    survival::{Action, Event, Origin, Outcome, Start, simulate},
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
            "nothing was changed: the files of this host contradict each other in a way that {ROUNDS} \
             changes do not resolve"
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
    event: Event,
) -> Result<bool> {
    if size.is_met_by(outcome.value) {
        return Ok(false);
    }
    match outcome.origin.inner() {
        // A line that says something else.
        Origin::Setting { source, .. } => {
            return if places::is_ours_to_edit(&source.file) {
                let purpose = Purpose::Decides(event);
                draft.set_value(&source.file, source.line, size.max, purpose)
            } else {
                places::add_setting(draft, size, &event, Some(&source.file))
            };
        }
        // Nobody fights them.
        Origin::Writer { .. } => return Ok(false),
        _ => {}
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
    if places::reads_settings(draft, &event) {
        return places::add_setting(draft, size, &event, None);
    }
    Ok(false)
}
