//! What the journal says of requests that were not accepted and of their data. The OTLP standard
//! allows to send the same again only after an answer of 429, 502, 503 or 504.

use std::time::Duration;

use hyper::Uri;
use tokio::time::Instant;

use crate::{
    say::{
        journal::{self, Level},
        number::{counted, span},
    },
    subscribers::otlp::answer::{LONGEST, Verdict},
};

/// How often a message about the same trouble is repeated.
const SAID_AGAIN: Duration = Duration::from_hours(1);

/// Why a refused request is not repeated.
const FORBIDDEN: &str = "the OTLP standard forbids to send the same again after this answer";

/// The two kinds of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Metrics,
    Logs,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "records of incidents",
        }
    }
}

/// Trouble with a receiver: a message tells it once, and again each hour while it lasts.
pub(super) struct Trouble {
    signal: Signal,
    since: Option<Instant>,
    said: Option<(String, Instant)>,
}

impl Trouble {
    pub(super) const fn of(signal: Signal) -> Self {
        Self {
            signal,
            since: None,
            said: None,
        }
    }

    /// Tells what became of a request with so many records.
    pub(super) fn tell(&mut self, to: &Uri, verdict: &Verdict, records: u64) {
        if let Some((level, what)) = self.follow(to, verdict, records, Instant::now()) {
            journal::complain(level, what);
        }
    }

    fn follow(
        &mut self,
        to: &Uri,
        verdict: &Verdict,
        records: u64,
        now: Instant,
    ) -> Option<(Level, String)> {
        let what = match verdict {
            Verdict::Taken => return self.is_over(to, now),
            Verdict::Again { after, why } => again(self.signal, to, why, *after),
            // Every lost record is reported.
            Verdict::Refused { why } if self.signal == Signal::Logs && records == 1 => {
                return Some((Level::Error, dropped(to, why)));
            }
            Verdict::Refused { why } => refused(self.signal, to, why, records),
        };
        self.since.get_or_insert(now);
        let was_said = self.said.as_ref();
        if was_said.is_some_and(|(said, at)| *said == what && now - *at < SAID_AGAIN) {
            return None;
        }
        self.said = Some((what.clone(), now));
        Some((Level::Warning, what))
    }

    fn is_over(&mut self, to: &Uri, now: Instant) -> Option<(Level, String)> {
        self.said = None;
        let seconds = (now - self.since.take()?).as_secs();
        let what = self.signal.name();
        let what = format!("{to} accepts {what} again, after {seconds} s");
        Some((Level::Info, what))
    }
}

fn again(signal: Signal, to: &Uri, why: &str, asked: Option<Duration>) -> String {
    let kept = match signal {
        Signal::Metrics => "with their latest values",
        Signal::Logs => "and keeps them in the queue until then",
    };
    let when = match asked {
        Some(asked) => format!(
            "in {}, because the receiver asks for that pause (Retry-After)",
            span(asked)
        ),
        None => format!("after {} at the latest", span(LONGEST)),
    };
    let what = signal.name();
    format!("cannot send {what} to {to}: {why}. ctdrop sends them again {kept}: {when}")
}

fn refused(signal: Signal, to: &Uri, why: &str, records: u64) -> String {
    match signal {
        Signal::Metrics => format!(
            "{to} refuses metrics: {why}. ctdrop drops this request, because {FORBIDDEN}. The next \
             request has the next values, and its counters have all that was counted"
        ),
        Signal::Logs => format!(
            "{to} refuses {} of incidents in one request: {why}. ctdrop drops none of them yet: it \
             sends each one alone, and then drops those that are refused alone",
            counted(records, "record")
        ),
    }
}

fn dropped(to: &Uri, why: &str) -> String {
    format!(
        "{to} refuses a record of an incident: {why}. ctdrop drops this record, because {FORBIDDEN}. \
         ctdrop incidents still has the incident"
    )
}

/// What is said of the last metrics of an earlier run that were refused.
pub(super) fn dropped_earlier(to: &Uri, why: &str, points: u64) -> String {
    format!(
        "{to} refuses the last metrics of an earlier run: {why}. ctdrop drops them ({}), because \
         {FORBIDDEN}",
        counted(points, "data point")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to() -> Uri {
        "http://c/v1/logs".parse().unwrap()
    }

    fn refused() -> Verdict {
        Verdict::Refused {
            why: "the answer is 500".to_owned(),
        }
    }

    fn after(asked: Option<Duration>) -> Verdict {
        Verdict::Again {
            after: asked,
            why: "the answer is 503".to_owned(),
        }
    }

    #[test]
    fn each_message_says_one_thing_about_the_data() {
        let now = Instant::now();
        let said = |signal, verdict, records| {
            let told = Trouble::of(signal).follow(&to(), &verdict, records, now);
            told.unwrap().1
        };
        for (signal, verdict, records, says, never) in [
            (Signal::Logs, refused(), 1, "drops this record", "again:"),
            (Signal::Logs, refused(), 7, "7 records", "sends them again"),
            (
                Signal::Logs,
                refused(),
                7,
                "drops none of them yet",
                "forbids",
            ),
            (
                Signal::Metrics,
                refused(),
                0,
                "drops this request",
                "again:",
            ),
            (
                Signal::Logs,
                after(None),
                1,
                "keeps them in the queue",
                "drops",
            ),
            (
                Signal::Logs,
                after(None),
                1,
                "after 5m at the latest",
                "drops",
            ),
            (Signal::Metrics, after(None), 0, "latest values", "drops"),
        ] {
            let said = said(signal, verdict, records);
            assert!(said.contains(says) && !said.contains(never), "{said}");
        }
    }

    #[test]
    fn a_pause_that_the_receiver_asks_for_is_told_even_if_the_answer_is_the_same() {
        let now = Instant::now();
        let mut trouble = Trouble::of(Signal::Logs);
        assert!(trouble.follow(&to(), &after(None), 1, now).is_some());
        assert_eq!(trouble.follow(&to(), &after(None), 1, now), None);
        let hour = after(Some(Duration::from_hours(1)));
        let (_, said) = trouble.follow(&to(), &hour, 1, now).unwrap();
        assert!(said.contains("in 1h, because the receiver asks"), "{said}");
        let later = now + Duration::from_secs(90);
        let (_, said) = trouble.follow(&to(), &Verdict::Taken, 1, later).unwrap();
        assert!(said.contains("again, after 90 s"), "{said}");
        assert_eq!(trouble.follow(&to(), &Verdict::Taken, 1, later), None);
    }

    #[test]
    fn each_record_that_is_dropped_is_told() {
        let mut trouble = Trouble::of(Signal::Logs);
        for _ in 0..2 {
            let told = trouble.follow(&to(), &refused(), 1, Instant::now());
            assert_eq!(told.unwrap().0, Level::Error);
        }
    }
}
