//! Findings about what is unknown: files and numbers that cannot be read, and
//! outcomes that cannot be predicted.

use std::path::Path;

use crate::{
    commands::status::events::leaves_unloaded,
    facts::{
        Facts, Unreadable,
        appliance::{Appliance, Keeps},
    },
    say::{
        finding::{Code, Finding, Severity},
        number::shortened,
    },
    survival::{Caveat, Event, Origin, Outcome, Survival},
};

/// All of them.
pub(crate) fn findings(facts: &Facts, survival: &Survival) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.unreadable.iter().map(file).collect();
    findings.extend(numbers(facts));
    // What cannot be read is a finding already.
    let caveats = survival.caveats().into_iter();
    let caveats =
        caveats.filter(|caveat| !matches!(caveat, Caveat::Unreadable(_) | Caveat::KeptOut(_)));
    findings.extend(caveats.map(Caveat::finding));
    findings.extend(limit(facts, survival));
    findings
}

fn file(unreadable: &Unreadable) -> Finding {
    Finding::new(
        Code::FileUnreadable,
        Severity::Unknown,
        format!("{} cannot be read", unreadable.path.display()),
        format!("{}; it may decide the limit", unreadable.why),
        unreadable.remedy,
    )
}

/// Numbers of the kernel that are there and not known.
fn numbers(facts: &Facts) -> Option<Finding> {
    let unreadable: Vec<&Unreadable> = facts
        .numbers
        .unreadable
        .iter()
        // Only root may read it, and it says no more than what an entry takes.
        .filter(|unreadable| unreadable.path != Path::new("/proc/slabinfo"))
        .collect();
    let first = unreadable.first()?;
    let paths: Vec<String> = unreadable
        .iter()
        .map(|unreadable| unreadable.path.display().to_string())
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    Some(Finding::new(
        Code::NumbersUnreadable,
        Severity::Unknown,
        format!("the kernel's numbers cannot be read: {}", shortened(&paths)),
        format!("{}; the table may have been full", first.why),
        first.remedy,
    ))
}

/// Outcomes that cannot be predicted.
fn limit(facts: &Facts, survival: &Survival) -> Option<Finding> {
    let unknown: Vec<(Event, &Outcome)> = survival
        .outcomes()
        .into_iter()
        .filter(|(_, outcome)| outcome.value.is_none() && !leaves_unloaded(outcome))
        .filter(|(_, outcome)| outcome.origin != Origin::NotLoaded)
        .collect();
    let (_, first) = unknown.first()?;
    let events: Vec<String> = unknown
        .iter()
        .map(|(event, _)| format!("after {event}"))
        .collect();
    let why = first.origin.sentence();
    if let (Origin::RebuiltEtc { .. }, Some(appliance)) = (first.origin.inner(), facts.appliance) {
        return Some(Finding::new(
            Code::LimitUnknown,
            Severity::Unknown,
            format!("the limit is unknown {}", events.join(", ")),
            why,
            remedy_on(appliance, facts),
        ));
    }
    // Of a whole copy it is the init that is not known.
    let whole = missing(facts).is_empty();
    if whole && let Origin::UnknownInit { .. } = first.origin.inner() {
        return Some(Finding::new(
            Code::LimitUnknown,
            Severity::Unknown,
            format!("the limit is unknown {}", events.join(", ")),
            why,
            format!(
                "set the limit in {}: sysctl -w {}=NUMBER",
                facts.init.start_script(),
                facts.kernel.generation.max_sysctl()
            ),
        ));
    }
    let (why, remedy) = match first.origin.source() {
        Some(source) if let Origin::Unordered { other, .. } = first.origin.inner() => (
            why,
            format!("set the same limit in {source} and {other}, or delete one of the two lines"),
        ),
        Some(source)
            if let Origin::Unknown {
                may_set: Some(_), ..
            } = first.origin.inner() =>
        {
            (why, format!("delete {source}, or set the same limit there"))
        }
        // A line that only its program understands.
        Some(source) => (
            why,
            format!("look up the limit that {} sets", source.file.display()),
        ),
        None => (
            format!("{why}; missing: {}", missing(facts).join(", ")),
            "copy what is missing into the tree with cp, not with tar: docs/status.md has a recipe"
                .to_owned(),
        ),
    };
    Some(Finding::new(
        Code::LimitUnknown,
        Severity::Unknown,
        format!("the limit is unknown {}", events.join(", ")),
        why,
        remedy,
    ))
}

/// Where to set the limit on a system that makes `/etc` anew.
fn remedy_on(appliance: &Appliance, facts: &Facts) -> String {
    let setting = format!("{}=NUMBER", facts.kernel.generation.max_sysctl());
    match appliance.keeps {
        Keeps::Configuration { place, text } => {
            let line = text.lines().find(|line| line.contains("NUMBER"));
            let line = line.unwrap_or_default().trim_start_matches([' ', '-']);
            format!("set the limit in {place}: {line}")
        }
        Keeps::Script(file) => format!("set the limit in {file}: sysctl -w {setting}"),
        Keeps::Nowhere => format!(
            "set the limit after each boot with sysctl -w {setting}; ctdrop knows no place where it lasts"
        ),
    }
}

/// What the kernel's default depends on and is not there.
fn missing(facts: &Facts) -> Vec<String> {
    let mut missing = Vec::new();
    if facts.kernel.release.is_none() {
        missing.push("the kernel's release (/proc/sys/kernel/osrelease)".to_owned());
    }
    if facts.kernel.memory.is_none() {
        missing.push("the memory (/proc/meminfo)".to_owned());
    }
    let directories = facts.not_captured.iter();
    missing.extend(directories.map(|directory| format!("all of {directory}")));
    missing
}
