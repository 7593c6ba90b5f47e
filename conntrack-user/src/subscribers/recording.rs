//! What the recorder and the capture report: lines of text, and of JSON (docs/json.md).

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    incident::{Incident, words},
    say::{
        clock,
        journal::Level,
        number::{counted, number},
        text::plain,
    },
    store::{
        incident::ClosedBy,
        record::{Gap, Survival},
    },
    subscribers::{capture_news::News, filling::Filling, hook_outcome::Outcome},
};

/// Something that the recorder or the capture reports.
#[derive(Clone, Debug)]
pub struct Recording {
    /// When, RFC 3339.
    pub time: String,
    /// What.
    pub what: What,
}

/// What they report.
#[derive(Clone, Debug)]
pub enum What {
    /// It records to this file.
    Records {
        /// The file.
        path: PathBuf,
        /// What was set aside for it.
        set_aside: Option<PathBuf>,
    },
    /// Nothing can be written; that goes on, and it is tried again.
    Failing(String),
    /// All that was kept in memory meanwhile is written.
    Resumed {
        /// Since when it could not be, RFC 3339.
        since: String,
        /// Rows that had no room in memory.
        lost: u64,
    },
    /// At the end it still cannot be written: what is in memory is lost.
    Lost {
        /// Since when, RFC 3339.
        since: String,
        /// Rows, intervals among them.
        rows: u64,
        /// Why.
        error: String,
    },
    /// Played back: nothing was recorded in this time, or less.
    Gap(Gap),
    /// Played back: what `--fix` did.
    Fixed {
        /// As an object of the stream.
        body: Value,
        /// As lines of text, the first with the time.
        lines: Vec<String>,
    },
    /// A table will be full soon.
    Filling(Filling),
    /// Which limit would be in force after a boot and the like, where that is new.
    Predicted(Survival),
    /// An incident has begun.
    Opened(Box<Told>),
    /// It has another cause or culprit than was told.
    Diagnosed(Box<Told>),
    /// More is known of it: its first census was taken, or far more packets are refused than when
    /// the table was last looked at.
    Grown(Box<Told>),
    /// It is over.
    Closed(Box<Told>),
    /// A command was run for an incident, or was not.
    Hooked(Box<Outcome>),
    /// What becomes of a capture.
    Capture(News),
}

/// What is told of an incident.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its number.
    pub id: i64,
    /// Packets refused since it has begun.
    pub refused: u64,
    /// The diagnosis.
    pub incident: Incident,
    /// Why it was closed, if it was.
    pub closed_by: Option<ClosedBy>,
}

impl Recording {
    /// Something that is reported now.
    pub fn now(what: What) -> Self {
        Self {
            time: clock::now(),
            what,
        }
    }

    /// How serious it is.
    pub const fn level(&self) -> Level {
        match &self.what {
            What::Capture(news) => news.level(),
            What::Failing(_) | What::Lost { .. } => Level::Error,
            What::Hooked(outcome) if outcome.is_success() => Level::Info,
            What::Hooked(_)
            | What::Opened(_)
            | What::Diagnosed(_)
            | What::Filling(_)
            | What::Predicted(_)
            | What::Gap(_) => Level::Warning,
            What::Records { .. }
            | What::Resumed { .. }
            | What::Fixed { .. }
            | What::Grown(_)
            | What::Closed(_) => Level::Info,
        }
    }

    /// As an object of the stream.
    pub fn json(&self) -> Value {
        let (kind, action, mut body) = match &self.what {
            What::Records { path, set_aside } => (
                "record",
                "records",
                json!({"file": path.to_string_lossy(), "set_aside": set_aside.as_ref().map(|path| path.to_string_lossy())}),
            ),
            What::Failing(error) => ("record", "failing", json!({"error": error})),
            What::Resumed { since, lost } => {
                ("record", "resumed", json!({"since": since, "lost": lost}))
            }
            What::Lost { since, rows, error } => (
                "record",
                "lost",
                json!({"since": since, "lost": rows, "error": error}),
            ),
            What::Gap(gap) => (
                "gap",
                "gap",
                json!({
                    "since": gap.from.time(), "why": gap.why, "lost": gap.lost, "detail": gap.detail,
                }),
            ),
            What::Fixed { body, .. } => return body.clone(),
            What::Filling(filling) => ("forecast", "filling", json!(filling)),
            What::Predicted(survival) => (
                "survival",
                "predicted",
                json!({
                    "cause": survival.cause,
                    "max": survival.in_force.map(|(max, _)| max),
                    "boot_max": survival.boot,
                    "restart_max": survival.restart,
                    "reload_max": survival.reload,
                }),
            ),
            What::Opened(told) => ("incident", "opened", told.json()),
            What::Diagnosed(told) => ("incident", "diagnosed", told.json()),
            What::Grown(told) => ("incident", "grown", told.json()),
            What::Closed(told) => ("incident", "closed", told.json()),
            What::Hooked(outcome) => ("hook", "hook", outcome.json()),
            What::Capture(news) => {
                let (action, body) = news.json();
                ("capture", action, body)
            }
        };
        body["type"] = kind.into();
        body["action"] = action.into();
        body["time"] = self.time.clone().into();
        body
    }

    /// As lines of text.
    pub fn lines(&self) -> Vec<String> {
        let time = clock::shown(&self.time);
        match &self.what {
            What::Records { path, set_aside } => {
                let records = format!("records  {}", plain(&path.to_string_lossy()));
                let aside = set_aside.as_ref().map(|aside| {
                    format!(
                        "note     {} was damaged, or another program made it: ctdrop renamed it to {}",
                        plain(&path.to_string_lossy()),
                        plain(&aside.to_string_lossy())
                    )
                });
                std::iter::once(records).chain(aside).collect()
            }
            What::Failing(error) => vec![format!(
                "{time}  evidence is not written: {}. ctdrop goes on counting, keeps the evidence in \
                 memory and tries again",
                plain(error)
            )],
            What::Resumed { since, lost } => {
                let since = clock::shown(since);
                let lost = match lost {
                    0 => String::new(),
                    some => format!("; lost for want of memory: {}", counted(*some, "row")),
                };
                vec![format!(
                    "{time}  evidence is written again; since {since} it is less detailed{lost}"
                )]
            }
            What::Lost { since, rows, error } => vec![format!(
                "{time}  evidence since {} is lost ({}): ctdrop could not write it: {}",
                clock::shown(since),
                counted(*rows, "row"),
                plain(error)
            )],
            What::Gap(gap) => vec![format!("{time}  {}", sentence(gap))],
            What::Fixed { lines, .. } => lines.clone(),
            What::Filling(filling) => vec![format!(
                "{time}  {}; to see who fills it: ctdrop who",
                filling.sentence()
            )],
            What::Predicted(survival) => {
                let lost = lost(survival);
                lost.map(|lost| format!("{time}  {lost}")).collect()
            }
            What::Opened(told) => vec![format!("{time}  {}", told.line("opened"))],
            What::Diagnosed(told) => vec![format!("{time}  {}", told.line("has a new diagnosis"))],
            // The lines of the intervals say how many packets are refused.
            What::Grown(_) => Vec::new(),
            What::Closed(told) => vec![format!("{time}  {}", told.line("closed"))],
            What::Hooked(outcome) => {
                let mut lines = outcome.lines();
                lines[0].insert_str(0, &format!("{time}  "));
                lines
            }
            What::Capture(news) => vec![news.line(&time)],
        }
    }
}

/// The events after which the limit is lower, each as a sentence.
fn lost(survival: &Survival) -> impl Iterator<Item = String> {
    let max = survival.in_force.map_or(0, |(max, _)| max);
    let each = [
        ("a boot", survival.boot),
        ("a restart of the firewall service", survival.restart),
    ];
    let lower = each.into_iter().filter_map(move |(event, then)| {
        let then = then.filter(|&then| then != 0 && then < max)?;
        Some((event, then))
    });
    lower.map(move |(event, then)| {
        format!(
            "the limit of {} will be {} after {event}: see ctdrop status",
            number(max),
            number(then)
        )
    })
}

/// What is missing, and why.
fn sentence(gap: &Gap) -> String {
    let since = clock::shown(&gap.from.time());
    let why = match gap.why.as_str() {
        "stopped" => "ctdrop was stopped",
        "killed" => "ctdrop was killed",
        "reboot" => "the host was rebooted",
        _ => {
            let lost = match gap.lost {
                0 => String::new(),
                some => format!("; lost for want of memory: {}", counted(some, "row")),
            };
            let why = gap.detail.as_deref().map_or_else(String::new, plain);
            return format!(
                "gap since {since}, now over: ctdrop recorded less, because it could not write \
                 evidence ({why}){lost}"
            );
        }
    };
    format!("gap since {since}, now over: ctdrop recorded nothing, because {why}")
}

impl Told {
    fn json(&self) -> Value {
        json!({
            "incident": self.id,
            "netns": self.incident.netns.inode,
            "netns_name": self.incident.netns.name,
            "refused": self.refused,
            "closed_by": self.closed_by.map(ClosedBy::as_str),
            "diagnosis": self.incident,
        })
    }

    /// The incident in one line, with what happened to it.
    pub(super) fn line(&self, what: &str) -> String {
        let culprit = self.incident.culprit.as_ref();
        let culprit = culprit.map_or_else(String::new, |culprit| {
            format!("; {}", plain(&words::culprit(culprit)))
        });
        format!(
            "incident {} in network namespace {} {what}: {}, {} refused{culprit}",
            number(self.id.unsigned_abs()),
            plain(&self.incident.netns.name),
            words::kind(self.incident.kind),
            counted(self.refused, "packet"),
        )
    }
}
