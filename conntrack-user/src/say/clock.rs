//! Times as they are written.
//!
//! Programs get RFC 3339 in UTC: JSON, the evidence, and the journal, which has its own
//! times. Text for people shows all times in one form, which [`shown`] makes.

use std::{
    env,
    sync::{Once, OnceLock},
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, tz::TimeZone};
use rustix::time::{ClockId, clock_gettime};

use crate::say::{
    journal::{self, Level},
    text::plain,
};

/// How text shows times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// As programs read them, with all digits.
    Exact,
    /// In the time zone of this host.
    Local,
    /// In UTC.
    Utc,
}

/// What was chosen once for this process; [`Shown::Exact`] if nothing was.
static SHOWN: OnceLock<Shown> = OnceLock::new();

/// Chooses, once for this process, how text shows times.
pub fn show(times: Shown) {
    // Only the first choice counts.
    let _ = SHOWN.set(times);
}

/// Whether text shows times in UTC although this host has another zone.
pub fn is_utc() -> bool {
    SHOWN.get() == Some(&Shown::Utc)
}

/// A time of RFC 3339 as text shows it.
pub fn shown(time: &str) -> String {
    match SHOWN.get() {
        None | Some(Shown::Exact) => time.to_owned(),
        Some(Shown::Local) => shown_in(time, &local()),
        Some(Shown::Utc) => shown_in(time, &TimeZone::UTC),
    }
}

/// A moment in milliseconds since 1970 as text shows it.
pub fn shown_millis(wall: i64) -> String {
    shown(&of_millis(wall))
}

/// A time of RFC 3339 in a zone: `2026-11-30 13:07:45 +01:00`. Other text is not changed.
pub fn shown_in(time: &str, zone: &TimeZone) -> String {
    time.parse::<Timestamp>().map_or_else(
        |_| time.to_owned(),
        |time| {
            let zoned = time.to_zoned_datetime(zone.clone());
            zoned.strftime("%F %T %:z").to_string()
        },
    )
}

/// A sentence that JSON has too, with its times as text shows them.
pub fn retold(sentence: &str) -> String {
    retell(sentence, shown)
}

/// The same in a zone.
pub fn retold_in(sentence: &str, zone: &TimeZone) -> String {
    retell(sentence, |time| shown_in(time, zone))
}

fn retell(sentence: &str, shown: impl Fn(&str) -> String) -> String {
    let words = sentence.split(' ').map(|word| {
        let (time, after) = word.split_at(word.rfind('Z').map_or(0, |last| last + 1));
        match time.parse::<Timestamp>() {
            Ok(_) => shown(time) + after,
            Err(_) => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The time zone of this host. An unknown one in `TZ` is a warning, once, and UTC is used.
pub fn local() -> TimeZone {
    static WARN: Once = Once::new();
    match (TimeZone::try_system(), env::var_os("TZ")) {
        (Err(_), Some(name)) => {
            WARN.call_once(|| {
                let name = plain(&name.to_string_lossy());
                let what = format!(
                    "TZ={name} is no time zone that this host knows, so times are in UTC: correct \
                     TZ, or install tzdata"
                );
                journal::complain(Level::Warning, what);
            });
            TimeZone::UTC
        }
        (Ok(zone), _) => zone,
        (Err(_), None) => TimeZone::system(),
    }
}

/// Turns `CLOCK_MONOTONIC`, in which the programs tell time, into wall-clock
/// time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When the monotonic clock was at zero.
    zero: SystemTime,
}

impl Clock {
    /// Compares the two clocks now.
    pub fn now() -> Self {
        Self {
            zero: SystemTime::now() - Duration::from_nanos(monotonic()),
        }
    }

    /// By one moment of both clocks, the monotonic one in nanoseconds.
    pub fn at(wall: SystemTime, monotonic: u64) -> Self {
        let zero = wall.checked_sub(Duration::from_nanos(monotonic));
        Self {
            zero: zero.unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }

    /// A time of the programs.
    pub fn time(self, nanoseconds: u64) -> SystemTime {
        self.zero + Duration::from_nanos(nanoseconds)
    }

    /// A time of the programs as RFC 3339, in UTC, to the microsecond; none
    /// for a time that is not known.
    pub fn text(self, nanoseconds: u64) -> Option<String> {
        let text = || humantime::format_rfc3339_micros(self.time(nanoseconds)).to_string();
        (nanoseconds != 0).then(text)
    }
}

/// This moment by `CLOCK_MONOTONIC`, in which the programs tell time, in nanoseconds.
pub fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// The last second that RFC 3339 can write, of the year 9999, in milliseconds since 1970.
pub const LAST: i64 = 253_402_300_799_000;

/// A moment in milliseconds since 1970 as RFC 3339, in UTC, to the second.
pub fn of_millis(wall: i64) -> String {
    let since = Duration::from_millis(wall.clamp(0, LAST).unsigned_abs());
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since).to_string()
}

/// This moment as RFC 3339, in UTC, to the millisecond.
pub fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_milliseconds_is_a_time() {
        assert_eq!(of_millis(1_500), "1970-01-01T00:00:01Z");
        assert_eq!(of_millis(i64::MIN), "1970-01-01T00:00:00Z");
        assert_eq!(of_millis(i64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn text_has_one_form_of_time() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let time = "2026-07-01T22:07:45.123Z";
        assert_eq!(shown_in(time, &berlin), "2026-07-02 00:07:45 +02:00");
        assert_eq!(shown_in(time, &TimeZone::UTC), "2026-07-01 22:07:45 +00:00");
        assert_eq!(shown_in("soon", &berlin), "soon");
        // Nothing was chosen: tests do not depend on the zone of the host.
        assert_eq!(shown(time), time);
        assert_eq!(shown_millis(1_500), "1970-01-01T00:00:01Z");
    }

    #[test]
    fn times_in_sentences_take_the_form_of_text() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let told = "blue was gone at 2026-07-01T22:07:45.123Z. Zone 2Z, Z, 2026-07-01Z  stay";
        assert_eq!(
            retold_in(told, &berlin),
            "blue was gone at 2026-07-02 00:07:45 +02:00. Zone 2Z, Z, 2026-07-01Z  stay"
        );
        assert_eq!(retold(told), told, "nothing was chosen");
    }

    #[test]
    fn an_unknown_time_has_no_text() {
        let clock = Clock {
            zero: SystemTime::UNIX_EPOCH,
        };
        assert_eq!(clock.text(0), None);
        assert_eq!(
            clock.text(1_500_000_000).unwrap(),
            "1970-01-01T00:00:01.500000Z"
        );
    }
}
