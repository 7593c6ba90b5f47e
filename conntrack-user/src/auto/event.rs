//! What an automatic fix reports: lines of text, and of JSON
//! (docs/json.md).

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    auto::decide::Held,
    engine::refusals::Need,
    incident::Incident,
    kernel::defaults::Table,
    say::{
        clock,
        number::{counted, number},
        text::plain,
    },
};

/// Something was done, or is not going to be.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, RFC 3339.
    pub time: String,
    /// What.
    pub what: What,
}

/// What was done, or is not going to be.
#[derive(Clone, Debug)]
pub enum What {
    /// A plan was made, and nothing changed.
    Planned(Box<PlanReport>),
    /// The running kernel was given more.
    Raised {
        /// What refused packets lacked.
        need: Need,
        /// What was in force.
        before: Table,
        /// What is.
        after: Table,
        /// Packets that were refused for it since the step before, until this
        /// one was made.
        refused: u64,
    },
    /// A step was put on record, and into files as far as that is right.
    Kept {
        /// What was done.
        report: Box<PlanReport>,
        /// The fix that is on record; none if nothing was left to be done.
        fix: Option<Kept>,
    },
    /// That could not be done.
    NotKept(String),
    /// The limit stays as it is.
    Held {
        /// Why.
        why: Held,
        /// What is in force.
        table: Table,
        /// What shows it, and what helps instead.
        advice: Box<Advice>,
    },
    /// Somebody else has put it back.
    PutBack {
        /// What was written.
        wrote: Table,
        /// What was found.
        found: Table,
        /// How often that has happened.
        times: u32,
        /// Whether it is left to them from now on.
        last: bool,
        /// Who it may have been.
        writers: Vec<Suspect>,
    },
    /// The user has taken a fix back, so no more are made.
    TakenBack(String),
    /// The running kernel could not be given more; not tried again.
    Failed(String),
}

/// A plan, as `ctdrop fix` reports it.
#[derive(Clone, Debug, Default)]
pub struct PlanReport {
    /// As JSON.
    pub json: Value,
    /// As text.
    pub lines: Vec<String>,
    /// Name by which it can be taken back.
    pub id: Option<String>,
}

/// What shows why nothing is raised, and what helps instead of a higher limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// What shows it, as a sentence; empty if nothing needs to.
    pub evidence: String,
    /// What helps, each as a sentence.
    pub instead: Vec<String>,
    /// The incident, if one is the reason.
    pub incident: Option<Incident>,
}

impl From<&Incident> for Advice {
    fn from(incident: &Incident) -> Self {
        Self {
            evidence: incident.headline(),
            instead: incident.instead(),
            incident: Some(incident.clone()),
        }
    }
}

/// Somebody who writes the limit on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suspect {
    /// Its name.
    pub name: &'static str,
    /// Where the limit is to be set instead.
    pub knob: String,
}

/// A fix that was made, and can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its name.
    pub id: String,
    /// The limit it has set.
    pub max: u64,
    /// The buckets.
    pub buckets: u64,
}

impl Event {
    /// Something that has happened now.
    pub fn now(what: What) -> Self {
        Self {
            time: clock::now(),
            what,
        }
    }

    /// The fix that was made and is on record, if it was one.
    pub const fn kept(&self) -> Option<&Kept> {
        match &self.what {
            What::Kept { fix, .. } => fix.as_ref(),
            _ => None,
        }
    }

    /// As an object of the stream.
    pub fn json(&self) -> Value {
        let (action, mut body) = match &self.what {
            What::Planned(report) => ("planned", report.json.clone()),
            What::Kept { report, .. } => ("kept", report.json.clone()),
            What::Raised {
                need,
                before,
                after,
                refused,
            } => (
                "raised",
                json!({"reason": need, "before": before, "after": after, "refused": refused}),
            ),
            What::NotKept(error) => ("not_kept", json!({"error": error})),
            What::Held { why, table, advice } => (
                "held",
                json!({"why": why, "current": table, "evidence": advice.evidence, "instead": advice.instead, "incident": advice.incident}),
            ),
            What::PutBack {
                wrote,
                found,
                times,
                last,
                writers,
            } => (
                if *last { "backed_off" } else { "put_back" },
                json!({"wrote": wrote, "found": found, "times": times, "writers": writers}),
            ),
            What::TakenBack(id) => ("taken_back", json!({"id": id})),
            What::Failed(error) => ("failed", json!({"error": error})),
        };
        body["type"] = "fix".into();
        body["action"] = action.into();
        body["time"] = self.time.clone().into();
        body
    }

    /// As lines of text, the first with the time.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.what.lines().into_iter();
        let first = lines.next().unwrap_or_default();
        std::iter::once(format!("{}  fix: {first}", clock::shown(&self.time)))
            .chain(lines)
            .collect()
    }
}

impl What {
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Planned(report) => {
                let head = "Packets are being refused. Suggested fix, not applied:";
                with(head.to_owned(), report.lines.clone())
            }
            Self::Raised {
                need,
                before,
                after,
                refused,
            } => vec![raised(*need, *before, *after, *refused)],
            Self::Kept { report, .. } => with(kept(report), indented(&report.lines)),
            Self::NotKept(error) => vec![plain(&format!(
                "cannot save the raised limit: {error}. It stays in force until the next boot or reload \
                 of the module; ctdrop undo cannot undo it"
            ))],
            Self::Held { why, table, advice } => with(
                plain(&held(*why, *table, &advice.evidence)),
                indented(&advice.instead),
            ),
            Self::PutBack {
                wrote,
                found,
                times,
                last,
                writers,
            } => {
                let left = if *last {
                    format!("; this has happened {times} times, so ctdrop stops raising it")
                } else {
                    String::new()
                };
                let line = format!(
                    "another program has set the limit to {} and the buckets to {}, after ctdrop had \
                     set {} and {}{left}",
                    number(found.max),
                    number(found.buckets),
                    number(wrote.max),
                    number(wrote.buckets)
                );
                let suspects = writers
                    .iter()
                    .map(|suspect| format!("possibly {}: {}", suspect.name, suspect.knob));
                with(line, indented(&suspects.collect::<Vec<_>>()))
            }
            Self::TakenBack(id) => vec![plain(&format!(
                "{id} was undone with ctdrop undo, so ctdrop stops raising the limit"
            ))],
            Self::Failed(error) => vec![plain(&format!("{error}; ctdrop does not try again"))],
        }
    }
}

fn with(first: String, more: Vec<String>) -> Vec<String> {
    std::iter::once(first).chain(more).collect()
}

fn indented(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| format!("  {}", plain(line)))
        .collect()
}

fn raised(need: Need, before: Table, after: Table, refused: u64) -> String {
    let why = match need {
        Need::Room => "table full",
        Need::Buckets => "hash chains too long",
    };
    let mut changes = Vec::new();
    for (what, before, after) in [
        ("buckets", before.buckets, after.buckets),
        ("limit", before.max, after.max),
    ] {
        if before != after {
            changes.push(format!("{what} {} → {}", number(before), number(after)));
        }
    }
    format!(
        "{why}: {}, after {}",
        changes.join(", "),
        counted(refused, "refused packet")
    )
}

fn kept(report: &PlanReport) -> String {
    match &report.id {
        Some(id) => plain(&format!("saved; to undo it: ctdrop undo {id}")),
        None => "nothing else had to be changed".to_owned(),
    }
}

fn held(why: Held, table: Table, evidence: &str) -> String {
    let max = number(table.max);
    match why {
        Held::Ceiling => format!(
            "the limit stays at {max}: a higher one would exceed the ceiling. Raise --ceiling, or \
             run ctdrop who to see what fills the table"
        ),
        Held::BucketsAtCeiling => format!(
            "hash chains are too long, but the buckets stay at {}: the ceiling allows no more. \
             Somebody may be choosing tuples whose hashes collide; run ctdrop who to see what fills \
             the table",
            number(table.buckets)
        ),
        Held::Leak | Held::Flood | Held::Owner => format!("the limit stays at {max}: {evidence}"),
    }
}

/// What was made by itself, as lines for the end.
pub fn summary(kept: &[Kept]) -> Vec<String> {
    kept.iter()
        .rev()
        .map(|kept| {
            plain(&format!(
                "fixed    limit {}, {} buckets; to undo it: ctdrop undo {}",
                number(kept.max),
                number(kept.buckets),
                kept.id
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Table = Table {
        max: 1000,
        buckets: 512,
    };

    #[test]
    fn a_step_says_what_was_there() {
        let event = Event::now(What::Raised {
            need: Need::Room,
            before: BEFORE,
            after: Table {
                max: 8192,
                buckets: 2048,
            },
            refused: 17,
        });
        let json = event.json();
        assert_eq!(json["type"], "fix");
        assert_eq!(json["action"], "raised");
        assert_eq!(json["reason"], "table_full");
        assert_eq!(json["before"]["max"], 1000);
        assert_eq!(json["after"]["buckets"], 2048);
        assert_eq!(json["refused"], 17);
        let lines = event.lines();
        let expected = "fix: table full: buckets 512 → 2,048, limit 1,000 → 8,192, after 17 refused \
                        packets";
        assert!(lines[0].ends_with(expected), "{lines:?}");
    }

    #[test]
    fn what_others_have_written_moves_no_terminal() {
        let event = Event::now(What::Held {
            why: Held::Leak,
            table: BEFORE,
            advice: Box::new(Advice {
                evidence: "a\u{1b}[2Jb".to_owned(),
                instead: vec!["c\u{7}d".to_owned()],
                incident: None,
            }),
        });
        let text = event.lines().join("\n");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
        assert_eq!(event.json()["why"], "leak");
    }

    #[test]
    fn the_last_fix_is_to_be_taken_back_first() {
        let kept = ["first", "second"].map(|id| Kept {
            id: id.to_owned(),
            max: 1,
            buckets: 1,
        });
        let lines = summary(&kept);
        assert!(lines[0].ends_with("undo second") && lines[1].ends_with("undo first"));
    }

    #[test]
    fn leaving_it_to_others_is_an_action_of_its_own() {
        let put_back = |last| {
            Event::now(What::PutBack {
                wrote: BEFORE,
                found: Table::default(),
                times: 3,
                last,
                writers: vec![Suspect {
                    name: "tuned",
                    knob: "its profile".to_owned(),
                }],
            })
        };
        assert_eq!(put_back(false).json()["action"], "put_back");
        assert_eq!(put_back(true).json()["action"], "backed_off");
        let lines = put_back(true).lines();
        assert!(lines[0].contains("stops raising it"), "{lines:?}");
        assert_eq!(lines[1], "  possibly tuned: its profile");
    }
}
