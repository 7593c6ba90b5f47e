//! What an answer to a request means, and how long to wait after it. Pure.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::StatusCode;

/// The first pause after a request that was not accepted.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause, unless the receiver asks for a longer one.
pub(super) const LONGEST: Duration = Duration::from_mins(5);

/// The longest pause that a receiver can ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(1);

/// The most characters of a receiver's text that a message repeats.
const REPEATED: usize = 200;

/// What a receiver has answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// `Retry-After`.
    pub(super) retry_after: Option<String>,
    /// `Content-Type`.
    pub(super) content_type: Option<String>,
    /// `Location`.
    pub(super) location: Option<String>,
    /// The body; none if it was too long.
    pub(super) body: Option<Bytes>,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver accepted the request.
    Taken,
    /// It did not; the same can be sent again, after this time at the earliest.
    Again {
        after: Option<Duration>,
        why: String,
    },
    /// It did not, and the same must not be sent again.
    Refused { why: String },
}

/// Judges an answer at this time.
pub(super) fn judge(answer: &Answer, now: SystemTime) -> Verdict {
    let status = answer.status;
    let again = |why: String| Verdict::Again { after: None, why };
    if status.is_success() {
        let kind = answer.content_type.as_deref().unwrap_or_default();
        return if kind.starts_with("text/html") {
            again("the answer is an HTML page of some other server: see otlp.endpoint".to_owned())
        } else {
            Verdict::Taken
        };
    }
    if status.is_redirection() {
        let there = answer.location.as_deref().unwrap_or("no address");
        let there = repeated(there);
        return again(format!(
            "the answer is {status}, a redirect to {there}: ctdrop follows no redirect; if that \
             address is right, set otlp.metrics_endpoint or otlp.logs_endpoint to it"
        ));
    }
    let said = said(answer);
    match status.as_u16() {
        429 | 502 | 503 | 504 => Verdict::Again {
            after: answer
                .retry_after
                .as_deref()
                .and_then(|text| asked(text, now)),
            why: format!("the answer is {status}{said}"),
        },
        401 | 403 => Verdict::Refused {
            why: format!("the answer is {status}{said}: see otlp.headers and otlp.headers_file"),
        },
        404 | 405 => Verdict::Refused {
            why: format!("the answer is {status}{said}: see otlp.endpoint"),
        },
        _ => Verdict::Refused {
            why: format!("the answer is {status}{said}"),
        },
    }
}

/// The body of an error, if it is a text.
fn said(answer: &Answer) -> String {
    let kind = answer.content_type.as_deref().unwrap_or_default();
    let body = answer.body.as_deref().unwrap_or_default();
    let is_text = kind.starts_with("text/plain") || kind.starts_with("application/json");
    match str::from_utf8(body) {
        Ok(text) if is_text && !text.trim().is_empty() => {
            format!(" ({})", repeated(text.trim()))
        }
        _ => String::new(),
    }
}

/// The part of a receiver's text that a message repeats.
pub(super) fn repeated(text: &str) -> String {
    let short: String = text.chars().take(REPEATED).collect();
    crate::say::text::plain(&short)
}

/// The pause that a receiver asks for: seconds, or a date.
fn asked(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let pause = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        let date = u64::try_from(date.timestamp().as_second()).ok()?;
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(date);
        date.duration_since(now).unwrap_or_default()
    };
    Some(pause.min(LONGEST_ASKED))
}

/// Pauses that double, with a random part, so that a thousand hosts do not come back at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A request was accepted.
    pub(super) const fn succeed(&mut self) {
        self.failures = 0;
    }

    /// A request was not accepted: how long to wait. `random` is from 0 to 1.
    pub(super) fn fail(&mut self, asked: Option<Duration>, random: f64) -> Duration {
        let whole = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let part = whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        // Hosts that were told the same pause do not come back at once either.
        asked.map_or(part, |asked| asked + part.min(asked / 4).max(FIRST / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: Some(Bytes::new()),
            ..Answer::default()
        }
    }

    #[test]
    fn only_the_codes_of_the_standard_are_tried_again() {
        let now = SystemTime::UNIX_EPOCH;
        for status in [200, 202, 204] {
            assert_eq!(judge(&answered(status), now), Verdict::Taken);
        }
        for status in [301, 307, 429, 502, 503, 504] {
            let verdict = judge(&answered(status), now);
            assert!(matches!(verdict, Verdict::Again { .. }), "{verdict:?}");
        }
        for status in [400, 401, 403, 404, 413, 500, 501, 505] {
            let verdict = judge(&answered(status), now);
            assert!(matches!(verdict, Verdict::Refused { .. }), "{verdict:?}");
        }
        let page = Answer {
            content_type: Some("text/html; charset=utf-8".to_owned()),
            ..answered(200)
        };
        assert!(matches!(judge(&page, now), Verdict::Again { .. }));
    }

    #[test]
    fn a_receiver_may_ask_for_a_pause_within_reason() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, pause) in [
            ("7", Some(7)),
            ("999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let pause = pause.map(Duration::from_secs);
            assert_eq!(asked(text, now), pause, "{text}");
        }
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..12).map(|_| backoff.fail(None, 1.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(backoff.fail(None, 0.0), LONGEST / 2);
        backoff.succeed();
        assert_eq!(backoff.fail(None, 1.0), FIRST);
        let asked = Duration::from_secs(100);
        assert!(backoff.fail(Some(asked), 0.0) > asked);
    }

    #[test]
    fn what_a_receiver_says_is_cut_and_harmless() {
        let answer = Answer {
            content_type: Some("text/plain".to_owned()),
            body: Some(Bytes::from(format!("\x1b[2J{}", "x".repeat(9999)))),
            ..answered(400)
        };
        let Verdict::Refused { why } = judge(&answer, SystemTime::now()) else {
            panic!()
        };
        assert!(why.len() < 300 && !why.contains('\x1b'), "{why}");
    }
}
