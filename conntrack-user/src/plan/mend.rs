//! Changes of files, one after the other, until the limit survives.

use anyhow::{Result, ensure};

use crate::{
    facts::Source,
    plan::{
        draft::Draft, edit, model, module_option, places, purpose::Purpose, services,
        settings_file, sizing::Size,
    },
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
                && settings_file::add_setting(draft, size, &event, None)?
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
            if doubtful && settings_file::is_ours_to_edit(&source.file) {
                let key = draft.facts.kernel.generation.max_sysctl();
                return draft.rewrite(&source.file, source.line, key, size.max);
            }
            if settings_file::is_ours_to_edit(&source.file) && is_editable(draft, source)? {
                let purpose = Purpose::Decides(event);
                return draft.set_value(&source.file, source.line, size.max, purpose);
            }
            return settings_file::add_setting(draft, size, &event, Some(&source.file));
        }
        // A line that nobody can tell the effect of: a later one decides.
        Origin::Unknown { source, .. } if places::is_of_settings(&draft.facts, source) => {
            return settings_file::add_setting(draft, size, &event, Some(&source.file));
        }
        // Another writer would win, or nobody can tell: files cannot help.
        Origin::Writer { .. } | Origin::Unknown { .. } | Origin::Unordered { .. } => {
            return Ok(false);
        }
        _ => {}
    }
    // A line that has no effect, because of its name or its form.
    let refused = outcome.steps.iter().rev().find_map(|step| {
        let source = step.source.as_ref()?;
        (step.does == Action::Refused && settings_file::is_ours_to_edit(&source.file))
            .then_some(source)
    });
    if let Some(source) = refused {
        let key = draft.facts.kernel.generation.max_sysctl();
        let (file, line) = (source.file.clone(), source.line);
        return draft.rewrite(&file, line, key, size.max);
    }
    // Only if something reads settings at this event, and not too early.
    let too_early = module_option::decides_alone(&draft.facts).as_ref() == Some(&event);
    if places::reads_settings(draft, &event) && !too_early {
        return settings_file::add_setting(draft, size, &event, None);
    }
    Ok(false)
}

/// Whether the value in a line is only that of the limit, and can be changed there.
fn is_editable(draft: &Draft<'_>, source: &Source) -> Result<bool> {
    let in_files = draft.facts.sysctl.all();
    let mut lines = in_files
        .filter(|file| file.file == source.file)
        .flat_map(|file| &file.lines)
        .filter(|line| line.number == source.line);
    if lines.any(|line| line.key.is_pattern()) {
        return Ok(false);
    }
    let (_, content) = draft.read(&source.file.to_string_lossy())?;
    let content = content.unwrap_or_default();
    Ok(edit::sysctl::set_value(&content, source.line, 0).is_some())
}
