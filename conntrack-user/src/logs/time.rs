//! Times that a user gives, and the time zone of the logs.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::say::clock;

/// A time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So long ago.
    Ago(Duration),
    /// A moment.
    At(Timestamp),
    /// A time in the zone of the logs.
    Local(DateTime),
    /// That time of today, in the zone of the logs.
    Today(Time),
}

impl When {
    /// Reads `2026-03-12`, `2026-03-12 13:40`, `13:40` of today, RFC 3339, a time as ctdrop
    /// shows it, or `2h` for two hours ago.
    pub fn parse(text: &str) -> Result<Self, String> {
        // ctdrop itself shows a blank before the offset.
        let joined = text.replace(" +", "+").replace(" -", "-");
        if let Ok(at) = joined.parse() {
            return Ok(Self::At(at));
        }
        if let Ok(local) = text.parse() {
            return Ok(Self::Local(local));
        }
        if let Ok(date) = text.parse::<Date>() {
            return Ok(Self::Local(date.into()));
        }
        if let Ok(time) = text.parse() {
            return Ok(Self::Today(time));
        }
        humantime::parse_duration(text).map(Self::Ago).map_err(|_| {
            "not a time: give one such as 2026-03-12, \"2026-03-12 13:40\", 13:40 for \
             today, 2026-03-12T13:40:34Z, or 2h for two hours ago"
                .to_owned()
        })
    }

    /// Microseconds since 1970.
    pub fn resolve(self, zone: &TimeZone) -> Result<i64> {
        Ok(match self {
            Self::At(at) => at.as_microsecond(),
            Self::Local(local) => moment(local, zone),
            Self::Today(time) => {
                let today = Timestamp::from_microsecond(now())?;
                moment(zone.to_datetime(today).date().to_datetime(time), zone)
            }
            Self::Ago(ago) => {
                now().saturating_sub(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX))
            }
        })
    }
}

/// A time of a zone, in microseconds since 1970. One that a clock change skips is as much
/// later; one outside of what can be told (9999-12-31) is the last or the first.
fn moment(local: DateTime, zone: &TimeZone) -> i64 {
    let outside = if local.year() > 0 {
        Timestamp::MAX
    } else {
        Timestamp::MIN
    };
    zone.to_timestamp(local).unwrap_or(outside).as_microsecond()
}

/// This moment, in microseconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}

/// The time zone of logs that name none: the one of this host, or of the system
/// below `root`.
pub fn zone(root: Option<&Path>) -> Result<TimeZone> {
    let Some(root) = root else {
        return Ok(clock::local());
    };
    let localtime = root.join("etc/localtime");
    // A link leads out of the tree, but it says the name.
    if let Ok(target) = fs::read_link(&localtime)
        && let Some((_, name)) = target.to_string_lossy().split_once("zoneinfo/")
    {
        let inside = root.join("usr/share/zoneinfo").join(name);
        if let Ok(data) = fs::read(&inside) {
            return TimeZone::tzif(name, &data)
                .with_context(|| format!("{} is not a time zone", inside.display()));
        }
        return TimeZone::get(name).with_context(|| {
            format!("{} names the unknown time zone {name}", localtime.display())
        });
    }
    match fs::read(&localtime) {
        Ok(data) => TimeZone::tzif("", &data)
            .with_context(|| format!("{} is not a time zone", localtime.display())),
        // Without the file a host is in UTC (localtime(5)).
        Err(_) => Ok(TimeZone::UTC),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_local_or_ago() {
        let local = |text: &str| When::Local(text.parse().unwrap());
        assert_eq!(When::parse("2026-03-12"), Ok(local("2026-03-12T00:00:00")));
        assert_eq!(
            When::parse("2026-03-12 13:40"),
            Ok(local("2026-03-12T13:40:00"))
        );
        assert_eq!(When::parse("2h"), Ok(When::Ago(Duration::from_hours(2))));
        assert_eq!(
            When::parse("2026-03-12T13:40:34+01:00"),
            Ok(When::At("2026-03-12T12:40:34Z".parse().unwrap()))
        );
        assert_eq!(
            When::parse("2026-03-12 13:40:34 -05:30"),
            Ok(When::At("2026-03-12T19:10:34Z".parse().unwrap()))
        );
        for bad in ["", "yesterday", "2026-13-01", "25:40"] {
            assert!(When::parse(bad).unwrap_err().contains("2h"), "{bad}");
        }
    }

    #[test]
    fn a_time_without_a_day_is_of_today() {
        let zone = TimeZone::get("Asia/Kathmandu").unwrap();
        let at = When::parse("13:40").unwrap().resolve(&zone).unwrap();
        let local = |micros| zone.to_datetime(Timestamp::from_microsecond(micros).unwrap());
        assert_eq!(local(at).time().to_string(), "13:40:00");
        let days = local(now()).date().until(local(at).date()).unwrap();
        // Midnight may have passed.
        assert!((-1..=0).contains(&days.get_days()), "{days}");
    }

    #[test]
    fn a_tree_has_a_zone_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(zone(Some(root.path())).unwrap(), TimeZone::UTC);
        let etc = root.path().join("etc");
        fs::create_dir(&etc).unwrap();
        fs::write(etc.join("localtime"), "garbage").unwrap();
        assert!(zone(Some(root.path())).is_err());
    }
}
