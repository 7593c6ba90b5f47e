//! What became of a run of a hook: a line of text, and of JSON (docs/json.md).

use std::time::Duration;

use serde_json::{Value, json};

use crate::say::{
    number::{counted, duration},
    text::plain,
};

/// When the hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// An incident was opened.
    Opened,
    /// It was closed.
    Closed,
}

impl Moment {
    /// As JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
        }
    }
}

/// What became of a run of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The incident.
    pub incident: i64,
    /// What happened to it.
    pub moment: Moment,
    /// How the run ended.
    pub end: End,
    /// How long it took.
    pub took: Duration,
    /// The first lines that it has written to standard output and standard error.
    pub output: Vec<String>,
    /// How many bytes it has written after these lines.
    pub cut: u64,
}

/// How a run of a hook ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It took too long, and ctdrop ended it.
    TimedOut,
    /// It took too long, and could not be ended.
    Stuck,
    /// It could not be started.
    Failed(String),
    /// It was skipped.
    Skipped(&'static str),
}

impl End {
    const fn code(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::Signalled(_) => "signalled",
            Self::TimedOut => "timed_out",
            Self::Stuck => "stuck",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }
}

impl Outcome {
    /// Whether the hook ended with exit status 0.
    pub const fn is_success(&self) -> bool {
        matches!(self.end, End::Exited(0))
    }

    /// As an object of the stream.
    pub fn json(&self) -> Value {
        let (status, signal) = match self.end {
            End::Exited(status) => (Some(status), None),
            End::Signalled(signal) => (None, Some(signal)),
            _ => (None, None),
        };
        let error = match &self.end {
            End::Failed(why) => Some(why.as_str()),
            End::Skipped(why) => Some(*why),
            _ => None,
        };
        json!({
            "incident": self.incident,
            "moment": self.moment.word(),
            "end": self.end.code(),
            "exit_status": status,
            "signal": signal,
            "error": error,
            "seconds": self.took.as_secs_f64(),
            "output": self.output,
            "output_cut": self.cut,
        })
    }

    /// As lines of text.
    pub fn lines(&self) -> Vec<String> {
        let took = duration(self.took);
        let end = match &self.end {
            End::Exited(status) => format!("ended after {took} with exit status {status}"),
            End::Signalled(signal) => format!("was ended after {took} by signal {signal}"),
            End::TimedOut => format!("took too long: ctdrop ended it after {took}"),
            End::Stuck => format!("took too long: ctdrop could not end it within {took}"),
            End::Failed(why) => format!("could not be run: {}", plain(why)),
            End::Skipped(why) => format!("was skipped: {why}"),
        };
        let of = format!(
            "the hook for incident {} ({})",
            self.incident,
            self.moment.word()
        );
        let output = self
            .output
            .iter()
            .map(|line| format!("    {}", plain(line)));
        let cut = (self.cut > 0).then(|| format!("    … and {}", counted(self.cut, "more byte")));
        std::iter::once(format!("{of} {end}"))
            .chain(output)
            .chain(cut)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_said_in_words_and_in_json() {
        let said = |end| {
            let outcome = Outcome {
                incident: 3,
                moment: Moment::Closed,
                end,
                took: Duration::from_millis(1500),
                output: vec!["a\u{1b}[2J".to_owned()],
                cut: 7,
            };
            (outcome.lines().join("\n"), outcome.json())
        };
        let (text, json) = said(End::Exited(2));
        assert_eq!(
            text,
            "the hook for incident 3 (closed) ended after 1.5 s with exit status 2\n    \
             a\u{fffd}[2J\n    … and 7 more bytes"
        );
        assert_eq!(
            (&json["end"], &json["exit_status"]),
            (&"exited".into(), &2.into())
        );
        let (text, json) = said(End::Skipped("there were too many"));
        assert!(text.contains("was skipped: there were too many"), "{text}");
        assert_eq!(json["error"], "there were too many");
        assert_eq!(said(End::Signalled(9)).1["signal"], 9);
        for end in [End::TimedOut, End::Stuck, End::Failed("no".to_owned())] {
            let (text, json) = said(end);
            assert!(
                text.contains("too long") || text.contains("be run: no"),
                "{text}"
            );
            assert_eq!(json["exit_status"], Value::Null);
        }
    }
}
