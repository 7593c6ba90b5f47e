//! How many packets were refused in a time, if all of it was recorded.

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use crate::store::{failure::Failure, read::Reader};

/// What may be missing between two intervals, in milliseconds: they begin and end a
/// little late.
const SLACK: i64 = 2000;

/// An interval that is not written yet is no longer than this, in milliseconds.
const PENDING: i64 = 90_000;

/// Packets that were refused in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    /// How many.
    pub packets: u64,
    /// Begin of the first interval, in milliseconds since 1970.
    pub since: i64,
    /// End of the last one.
    pub until: i64,
}

impl Reader {
    /// The names of the hosts that were recorded.
    pub fn hosts(&self) -> Result<Vec<String>, Failure> {
        let hosts = || -> Result<Vec<String>> {
            let sql = "SELECT DISTINCT host FROM boots ORDER BY host";
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        self.say(hosts())
    }

    /// The packets that a host refused for a reason in a time, in milliseconds since 1970;
    /// none if not all of it was recorded. The time may reach beyond `now`.
    pub fn exact(
        &self,
        host: &str,
        reason: &str,
        (from, to): (i64, i64),
        now: i64,
    ) -> Result<Option<Exact>, Failure> {
        self.say(exact(&self.connection, host, reason, (from, to), now))
    }
}

fn exact(
    connection: &Connection,
    host: &str,
    reason: &str,
    (from, to): (i64, i64),
    now: i64,
) -> Result<Option<Exact>> {
    // An interval is at most so long, so that the index on its end finds those that reach in.
    let longest = "(SELECT max(length) FROM intervals)";
    let sql = format!(
        "SELECT min(wall - length), max(wall), sum(min(wall, ?3) - max(wall - length, ?2)),
            coalesce(sum((SELECT sum(packets) FROM drops
                WHERE drops.interval = intervals.interval AND reason = ?4)), 0)
        FROM intervals JOIN boots USING (boot)
        WHERE host = ?1 AND wall > ?2 AND wall < ?3 + {longest} AND wall - length < ?3"
    );
    let found = connection.query_row(&sql, params![host, from, to, reason], |row| {
        let begin: Option<i64> = row.get(0)?;
        let end: Option<i64> = row.get(1)?;
        let covered: Option<i64> = row.get(2)?;
        Ok(begin.zip(end).zip(covered).zip(Some(row.get::<_, u64>(3)?)))
    });
    let Some((((since, until), covered), packets)) = found.optional()?.flatten() else {
        return Ok(None);
    };
    // What has just happened may not be written yet.
    let is_written = until >= to || now.saturating_sub(until) <= PENDING;
    let end = to.min(until);
    let is_covered = since <= from + SLACK && covered >= end - from - SLACK && is_written;
    Ok(is_covered.then_some(Exact {
        packets,
        since,
        until,
    }))
}
