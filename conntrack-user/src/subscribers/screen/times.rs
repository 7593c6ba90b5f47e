//! Times as they are shown: local or UTC.

use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};

use crate::say::clock;

/// How times are shown.
#[derive(Clone, Debug)]
pub(super) struct Times {
    local: TimeZone,
    pub(super) utc: bool,
}

impl Times {
    /// Those of a time zone.
    pub(super) const fn of(local: TimeZone) -> Self {
        Self { local, utc: false }
    }

    /// `13:07:45`; a time that cannot be read as it is.
    pub(super) fn hour(&self, time: &str) -> String {
        self.zoned(time).map_or_else(
            || time.to_owned(),
            |time| time.strftime("%H:%M:%S").to_string(),
        )
    }

    /// `13:07:45 +01:00`
    pub(super) fn hour_with_offset(&self, time: &str) -> String {
        self.zoned(time).map_or_else(
            || time.to_owned(),
            |time| time.strftime("%H:%M:%S %:z").to_string(),
        )
    }

    /// `2026-11-30 13:07:45 +01:00`
    pub(super) fn whole(&self, time: &str) -> String {
        clock::shown_in(time, &self.zone())
    }

    fn zoned(&self, time: &str) -> Option<ZonedDateTime> {
        let time: Timestamp = time.parse().ok()?;
        Some(time.to_zoned_datetime(self.zone()))
    }

    fn zone(&self) -> TimeZone {
        if self.utc {
            TimeZone::UTC
        } else {
            self.local.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::{self, TimeZone};

    use super::*;

    #[test]
    fn times_are_local_or_not() {
        let mut times = Times::of(TimeZone::fixed(tz::offset(2)));
        let time = "2026-11-30T23:07:45.123Z";
        assert_eq!(times.hour_with_offset(time), "01:07:45 +02:00");
        assert_eq!(times.whole(time), "2026-12-01 01:07:45 +02:00");
        times.utc = true;
        assert_eq!(times.hour(time), "23:07:45");
        assert_eq!(times.hour("soon"), "soon");
    }
}
