//! Findings about what cannot be told, and what the rest is told with.

use std::path::Path;

use crate::{
    commands::status::{events::leaves_unloaded, persistence::Persistence},
    facts::Unreadable,
    say::{
        finding::{Finding, Severity},
        number::shortened,
    },
    survival::{Caveat, Event, Outcome},
};

impl Persistence<'_> {
    /// What the judgement rests on.
    pub(crate) fn uncertain(&self) -> Vec<Finding> {
        let facts = self.facts;
        let mut findings: Vec<Finding> = facts
            .unreadable
            .iter()
            .map(|unreadable| {
                Finding::new(
                    Severity::Unknown,
                    format!("{} cannot be read", unreadable.path.display()),
                    format!("{}; it may decide the limit", unreadable.why),
                    unreadable.remedy,
                )
            })
            .collect();
        findings.extend(self.numbers());
        // Findings say already what cannot be read.
        let caveats = self.survival.caveats().into_iter();
        let caveats = caveats.filter(|caveat| !matches!(caveat, Caveat::Unreadable(_)));
        findings.extend(caveats.map(|caveat| {
            Finding::new(
                Severity::Info,
                "what will be in force is told with a reservation",
                caveat.to_string(),
                "",
            )
        }));
        findings
    }

    /// Numbers of the kernel that are there and not known.
    fn numbers(&self) -> Option<Finding> {
        let unreadable: Vec<&Unreadable> = self
            .facts
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
            Severity::Unknown,
            format!("the kernel's numbers cannot be read: {}", shortened(&paths)),
            format!("{}; how full the table was is not known", first.why),
            first.remedy,
        ))
    }

    /// Outcomes that nothing here decides.
    pub(crate) fn not_told(&self) -> Option<Finding> {
        let unknown: Vec<(Event<'_>, &Outcome)> = self
            .survival
            .outcomes()
            .into_iter()
            .filter(|(_, outcome)| outcome.value.is_none() && !leaves_unloaded(outcome))
            .collect();
        let (_, first) = unknown.first()?;
        let events: Vec<String> = unknown
            .iter()
            .map(|(event, _)| format!("after {event}"))
            .collect();
        let why = Self::because(first);
        let missing = self.missing();
        let (why, remedy) = match first.origin.source() {
            // A line that only its program understands.
            Some(source) => (
                why,
                format!("look up what {} sets it to", source.file.display()),
            ),
            None => (
                format!("{why}; missing: {}", missing.join(", ")),
                "let the tree have what is missing, copied with cp and not with tar: docs/status.md \
                 has a recipe"
                    .to_owned(),
            ),
        };
        Some(Finding::new(
            Severity::Unknown,
            format!("the limit cannot be told {}", events.join(", ")),
            why,
            remedy,
        ))
    }

    /// What the kernel's default depends on and is not there.
    fn missing(&self) -> Vec<String> {
        let facts = self.facts;
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
}
