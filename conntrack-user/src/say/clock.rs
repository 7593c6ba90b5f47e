//! Times as they are written: RFC 3339, in UTC.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

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

    /// A time of the programs as RFC 3339, in UTC, to the microsecond; none
    /// for a time that is not known.
    pub fn text(self, nanoseconds: u64) -> Option<String> {
        let time = self.zero + Duration::from_nanos(nanoseconds);
        (nanoseconds != 0).then(|| humantime::format_rfc3339_micros(time).to_string())
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
