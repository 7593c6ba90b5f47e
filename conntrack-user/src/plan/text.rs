//! A plan as people read it.

use std::path::Path;

use crate::{
    facts::Facts,
    incident::{Incident, Kind, commands},
    plan::{diff, model::Plan},
    say::{
        finding::Severity,
        number::{number, optional},
        text::plain,
    },
    survival::{Outcome, Survival},
};

/// All of it.
pub(crate) fn lines(facts: &Facts, incident: &Incident, plan: &Plan, root: &Path) -> Vec<String> {
    let mut lines = vec![head(facts, root), String::new()];
    let current = plan.current;
    lines.push(format!(
        "limit     {} now, {} wanted",
        optional(current.max),
        number(plan.target.max)
    ));
    lines.push(format!(
        "buckets   {} now, {} wanted",
        optional(current.buckets),
        number(plan.target.buckets)
    ));
    let mut label = "why";
    for why in &plan.target.why {
        lines.push(format!("{label:<9} {}", plain(why)));
        label = "";
    }
    let mut label = "instead";
    for instead in incident.instead() {
        // On an old host its own tools have to do.
        let instead = if facts.kernel.runs_ctdrop() {
            instead
        } else {
            let by_hand = commands::count_sources(facts.kernel.generation.table_file());
            instead.replace("ctdrop who", &by_hand)
        };
        lines.push(format!("{label:<9} {}", plain(&instead)));
        label = "";
    }
    lines.push(String::new());
    if plan.is_empty() {
        let nothing = nothing(!plan.notes.is_empty(), incident.kind);
        lines.push(nothing.to_owned());
        lines.push(String::new());
    }
    lines.extend(live(plan));
    lines.extend(files(plan));
    lines.extend(survives(&plan.before, &plan.after));
    lines.extend(elsewhere(plan));
    lines
}

fn head(facts: &Facts, root: &Path) -> String {
    let of = if root == Path::new("/") {
        "this host".to_owned()
    } else {
        root.display().to_string()
    };
    plain(&format!("Plan for {of}, {}", facts.distribution.name))
}

fn live(plan: &Plan) -> Vec<String> {
    if plan.live.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["Running kernel".to_owned()];
    lines.extend(plan.live.iter().map(|write| {
        format!(
            "  {}: {} → {} ({})",
            write.path.display(),
            optional(write.before),
            number(write.after),
            write.why
        )
    }));
    lines.push(String::new());
    lines
}

fn files(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for file in &plan.files {
        for why in &file.why {
            lines.push(format!("# {}", plain(why)));
        }
        let path = file.path.to_string_lossy();
        let diff = diff::unified(&path, file.before.as_deref(), Some(&file.after));
        lines.extend(diff.lines().map(tabbed));
        lines.push(String::new());
    }
    lines
}

/// A line of others, without what would move a terminal; but for tabs.
fn tabbed(line: &str) -> String {
    let parts: Vec<String> = line.split('\t').map(plain).collect();
    parts.join("\t")
}

/// Before and after, side by side.
fn survives(before: &Survival, after: &Survival) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<24} {:>13} {:>13}  decided by",
        "Limit after", "before", "with fix"
    )];
    let mut line = |event: &str, before: Option<&Outcome>, after: &Outcome| {
        let by = match after.origin.source() {
            Some(source) => source.to_string(),
            None => after.origin.text().to_owned(),
        };
        let value = |outcome: Option<&Outcome>| optional(outcome.and_then(|outcome| outcome.value));
        lines.push(plain(&format!(
            "  {event:<22} {:>13} {:>13}  {by}",
            value(before),
            value(Some(after))
        )));
    };
    line("a boot", Some(&before.boot), &after.boot);
    for service in &after.services {
        let known = before
            .services
            .iter()
            .find(|known| known.service == service.service)
            .map(|known| &known.outcome);
        line(
            &format!("a restart of {}", service.service),
            known,
            &service.outcome,
        );
    }
    line(
        "a reload of the module",
        Some(&before.module_reload),
        &after.module_reload,
    );
    lines.push(String::new());
    lines
}

/// What is said of a plan that changes nothing.
const fn nothing(has_notes: bool, kind: Kind) -> &'static str {
    match kind {
        _ if has_notes => "ctdrop changes nothing here; see \"To do elsewhere\".",
        Kind::NotSeen => {
            "Nothing is changed. ctdrop cannot tell whether a change is needed: see the warnings."
        }
        _ if kind.fills_any_limit() => {
            "Nothing is changed. A higher limit only buys time: see \"instead\"."
        }
        _ => "Nothing needs to be changed.",
    }
}

fn elsewhere(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for note in &plan.notes {
        lines.push(plain(&format!("To do elsewhere: {}", note.what)));
        lines.push(plain(&format!("  {}", note.why)));
        lines.extend(
            note.snippet
                .lines()
                .map(|line| format!("    {}", tabbed(line))),
        );
        lines.push(String::new());
    }
    for warning in &plan.warnings {
        let label = match warning.severity {
            Severity::Info => "Note",
            Severity::Critical => "Problem",
            _ => "Warning",
        };
        lines.push(format!("{label}: {}", plain(&warning.what)));
        lines.extend(warning.details());
    }
    if !plan.warnings.is_empty() {
        lines.push(String::new());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_table_that_a_leak_fills_it_is_not_said_that_all_is_well() {
        assert!(nothing(false, Kind::Leak).contains("only buys time"));
        assert!(nothing(false, Kind::NotSeen).contains("cannot tell"));
        assert!(nothing(true, Kind::Leak).contains("To do elsewhere"));
        assert_eq!(nothing(false, Kind::None), "Nothing needs to be changed.");
    }
}
