//! Times and names as the report has them.

use jiff::Timestamp;

use crate::logs::account::moment::Moment;

/// A name as text.
pub(super) fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// A moment as RFC 3339, in UTC.
pub(super) fn time(moment: Moment) -> Option<String> {
    match moment {
        Moment::Wall(at) => Timestamp::from_microsecond(at)
            .ok()
            .map(|at| at.to_string()),
        _ => None,
    }
}

/// The times of the first and the last line.
pub(super) fn times(span: Option<(Moment, Moment)>) -> (Option<String>, Option<String>) {
    span.map_or((None, None), |(first, last)| (time(first), time(last)))
}

/// Seconds of microseconds.
#[expect(clippy::cast_precision_loss, reason = "below 2⁵³ for 285 years")]
pub(super) fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}
