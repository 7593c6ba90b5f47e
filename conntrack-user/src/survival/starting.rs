//! Whoever writes the limit when it starts: in the order that units have. Of two that
//! nothing orders, each may come last.

use crate::{
    facts::{
        Facts, Source,
        writers::{Sets, Timing, Writer},
    },
    survival::{
        machine::Machine,
        outcome::{Action, Step},
    },
};

/// A writer, the unit that runs it, and what it has led to.
struct Started<'f> {
    writer: &'f Writer,
    sets: &'f Sets,
    /// None if its place is not known to systemd.
    unit: Option<&'f str>,
    /// The last line of it that has set the limit, and to what.
    last: Option<(Source, u64)>,
}

/// All of them start.
pub(super) fn run(machine: &mut Machine<'_>) {
    let facts = machine.facts;
    let mut started = in_order(facts);
    for one in &mut started {
        let before = machine.steps.len();
        machine.run_writer(one.writer, one.sets);
        one.last = last_set(&machine.steps[before..]);
    }
    if let Some((source, other)) = contradiction(facts, &started) {
        machine.forget_unordered(source, other);
    }
}

/// Each after those that come before it; otherwise as they are listed.
fn in_order(facts: &Facts) -> Vec<Started<'_>> {
    let mut waiting: Vec<Started<'_>> = facts
        .writers
        .iter()
        .filter(|writer| writer.active)
        .filter_map(|writer| {
            let sets = writer.sets.as_ref()?;
            let mut lines = sets.acts.iter().map(|act| &act.source);
            Some(Started {
                writer,
                sets,
                unit: lines.find_map(|line| facts.unit_order.unit_of(line)),
                last: None,
            })
        })
        .filter(|one| one.sets.timing == Timing::AtStart)
        .collect();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let is_free =
            |one: &Started<'_>| !waiting.iter().any(|other| comes_before(facts, other, one));
        // Of a circle the first one is taken.
        let next = waiting.iter().position(is_free).unwrap_or(0);
        ordered.push(waiting.remove(next));
    }
    ordered
}

fn comes_before(facts: &Facts, first: &Started<'_>, second: &Started<'_>) -> bool {
    match (first.unit, second.unit) {
        (Some(first), Some(second)) => {
            first != second && facts.unit_order.comes_before(first, second)
        }
        _ => false,
    }
}

/// The last step that has set the limit.
fn last_set(steps: &[Step]) -> Option<(Source, u64)> {
    let step = steps.iter().rev().find(|step| step.does == Action::Sets)?;
    Some((step.source.clone()?, step.value?))
}

/// Two lines that set different limits, the last of all and one that may come after it.
fn contradiction(facts: &Facts, started: &[Started<'_>]) -> Option<(Source, Source)> {
    let set = || started.iter().filter(|one| one.last.is_some());
    let last = set().next_back()?;
    let unit = last.unit?;
    let (source, value) = last.last.clone()?;
    let (other, _) = set()
        .filter(|one| {
            one.unit.is_some_and(|other| other != unit) && !comes_before(facts, one, last)
        })
        .find_map(|one| one.last.clone().filter(|(_, other)| *other != value))?;
    Some((source, other))
}
