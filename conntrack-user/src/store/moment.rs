//! A moment by both clocks: the host's, which somebody may set, and the monotonic one.

use std::time::{Duration, SystemTime};

use crate::say::clock;

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Number of the boot in the store.
    pub boot: i64,
    /// Milliseconds since 1970 by the clock of the host, which somebody may set.
    pub wall: i64,
    /// Milliseconds by `CLOCK_MONOTONIC`.
    pub mono: i64,
}

impl Moment {
    /// This moment in that boot.
    pub fn now(boot: i64) -> Self {
        Self::at(boot, SystemTime::now(), clock::monotonic())
    }

    /// A moment by the clock of the host and, in nanoseconds, by `CLOCK_MONOTONIC`.
    pub fn at(boot: i64, wall: SystemTime, monotonic: u64) -> Self {
        let since = wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            boot,
            wall: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            mono: i64::try_from(monotonic / 1_000_000).unwrap_or(i64::MAX),
        }
    }

    /// By the clock of the host, as RFC 3339, in UTC.
    pub fn time(self) -> String {
        humantime::format_rfc3339_millis(self.wall_clock()).to_string()
    }

    /// By the clock of the host.
    pub fn wall_clock(self) -> SystemTime {
        // What an edited file has may be before 1970, or later than RFC 3339 can write.
        let wall = self.wall.clamp(0, clock::LAST);
        SystemTime::UNIX_EPOCH + Duration::from_millis(wall.unsigned_abs())
    }

    /// What tells moments apart in order of time, whatever the clock of the host did.
    pub const fn order(self) -> (i64, i64) {
        (self.boot, self.mono)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_a_time() {
        let at = |wall| {
            Moment {
                wall,
                ..Moment::default()
            }
            .time()
        };
        assert_eq!(at(i64::MIN), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(i64::MAX), "9999-12-31T23:59:59.000Z");
    }
}
