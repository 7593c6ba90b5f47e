//! What to count of the logs, and how to read them.

use std::{fmt, num::NonZeroUsize};

use anyhow::Result;
use jiff::{Timestamp, tz::TimeZone};

use crate::logs::{account::filter::Filter, time::When};

/// What to count of the logs, and how to read them.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Only lines from this time on.
    pub since: Option<When>,
    /// Only lines before this time.
    pub until: Option<When>,
    /// Only lines of these hosts; of all if there is none.
    pub hosts: Vec<String>,
    /// The year that each log begins in, where its times have none.
    pub year: Option<i16>,
    /// Threads that search; one for each processor if none is given.
    pub threads: Option<NonZeroUsize>,
}

/// The end of the period is not after its begin, so that no line can be in it:
/// wrong usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyPeriod {
    /// Microseconds since 1970.
    since: i64,
    /// Microseconds since 1970.
    until: i64,
}

impl fmt::Display for EmptyPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |at| {
            Timestamp::from_microsecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
        };
        write!(
            f,
            "--since ({}) must be earlier than --until ({})",
            shown(self.since),
            shown(self.until)
        )
    }
}

impl std::error::Error for EmptyPeriod {}

impl Request {
    /// The lines to count, of logs in this time zone.
    ///
    /// # Errors
    ///
    /// A time that does not exist in this zone, or an [`EmptyPeriod`].
    pub(super) fn filter(&self, zone: &TimeZone) -> Result<Filter> {
        let resolve = |when: Option<When>| when.map(|when| when.resolve(zone)).transpose();
        let (since, until) = (resolve(self.since)?, resolve(self.until)?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(EmptyPeriod { since, until }.into());
        }
        Ok(Filter {
            since,
            until,
            hosts: self.hosts.clone(),
            covered: None,
        })
    }
}
