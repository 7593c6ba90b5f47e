//! Changes of files, one after the other, until the limit survives.

use anyhow::{Result, ensure};

use crate::{
    plan::{draft::Draft, model, module_option, places, purpose::Purpose, services, sizing::Size},
    survival::{Action, Caveat, Event, Origin, Outcome, Start, Survival, simulate},
};

/// The most changes that are tried, one line or more each.
const ROUNDS: usize = 32;

/// Changes files until every event leads to the limit, or no change helps any more.
pub(crate) fn files(draft: &mut Draft<'_>, size: &Size, comment_out: bool) -> Result<()> {
    let before = simulate(&draft.facts, Start::AfterBoot);
    if survives_already(&before, size) {
        return places::overridden_lines(draft, size, comment_out);
    }
    places::hashsize(draft, size)?;
    places::load_early(draft)?;
    services::lists(draft)?;
    places::udev(draft)?;
    places::buckets(draft, size)?;
    let mut rounds = 0;
    while mend(draft, size, &before)? {
        rounds += 1;
        ensure!(
            rounds < ROUNDS,
            "nothing was changed: after {ROUNDS} changes the files still do not keep the limit; \
             remove contradicting settings (ctdrop status lists them)"
        );
    }
    places::aliases(draft, size)?;
    places::backups(draft, size)?;
    places::overridden_lines(draft, size, comment_out)
}

/// Whether every event already leads to the limit and the buckets.
fn survives_already(survival: &Survival, size: &Size) -> bool {
    let mut outcomes = survival.outcomes().into_iter();
    outcomes
        .all(|(_, outcome)| size.is_met_by(outcome.value) && outcome.buckets >= Some(size.buckets))
}

/// Simulates what survives, and changes what decides the first outcome that is not
/// as wanted. Returns whether anything was changed.
fn mend(draft: &mut Draft<'_>, size: &Size, before: &Survival) -> Result<bool> {
    let survival = simulate(&draft.facts, Start::AfterBoot);
    for (event, outcome) in survival.outcomes() {
        if size.is_met_by(outcome.value) {
            // A file sets the limit, not the option that this plan adds, which may
            // lead above what is wanted.
            if model::is_raised_to(before, &event, outcome, size.max)
                && module_option::decides_alone(&draft.facts).as_ref() != Some(&event)
                && places::reads_settings(draft, &event)
                && places::add_setting(draft, size, &event, None)?
            {
                return Ok(true);
            }
        } else if mend_outcome(draft, size, outcome, event)? {
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
    match outcome.origin.inner() {
        // A line with another value.
        Origin::Setting { source, .. } => {
            // By a name that the kernel may not have.
            let doubtful = outcome
                .caveats
                .contains(&Caveat::NameUnknown(source.clone()));
            if doubtful && places::is_ours_to_edit(&source.file) {
                let key = draft.facts.kernel.generation.max_sysctl();
                return draft.rewrite(&source.file, source.line, key, size.max);
            }
            return if places::is_ours_to_edit(&source.file) {
                let purpose = Purpose::Decides(event);
                draft.set_value(&source.file, source.line, size.max, purpose)
            } else {
                places::add_setting(draft, size, &event, Some(&source.file))
            };
        }
        // Another writer would win, or nobody can tell: files cannot help.
        Origin::Writer { .. } | Origin::Unknown { .. } => return Ok(false),
        _ => {}
    }
    // A line that has no effect, because of its name or its form.
    let refused = outcome.steps.iter().rev().find_map(|step| {
        let source = step.source.as_ref()?;
        (step.does == Action::Refused && places::is_ours_to_edit(&source.file)).then_some(source)
    });
    if let Some(source) = refused {
        let key = draft.facts.kernel.generation.max_sysctl();
        let (file, line) = (source.file.clone(), source.line);
        return draft.rewrite(&file, line, key, size.max);
    }
    // Only if something reads settings at this event.
    if places::reads_settings(draft, &event) {
        return places::add_setting(draft, size, &event, None);
    }
    Ok(false)
}
