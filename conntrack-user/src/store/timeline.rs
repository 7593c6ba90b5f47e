//! The store in order of time, an interval after the other: for who plays it back.

use std::ops::RangeInclusive;

use rusqlite::Result;

use crate::store::{
    failure::Failure, interval::Interval, moment::Moment, read::Reader, record::Record, select,
};

/// Where an interval is in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub interval: i64,
    /// The run that it is of.
    pub run: i64,
    /// Its end.
    pub at: Moment,
    /// Its length in milliseconds.
    pub length: u64,
}

impl Reader {
    /// The intervals of a time by the clock of the host, in order of time.
    pub fn timeline(&self, wall: RangeInclusive<i64>) -> Result<Vec<Mark>, Failure> {
        let (from, to) = wall.into_inner();
        let marks = || -> Result<Vec<Mark>> {
            let sql = "SELECT interval, run, boot, wall, mono, length FROM intervals
                WHERE wall BETWEEN ?1 AND ?2 ORDER BY boot, mono, interval";
            let mut statement = self.connection.prepare(sql)?;
            let marks = statement.query_map([from, to], |row| {
                Ok(Mark {
                    interval: row.get(0)?,
                    run: row.get(1)?,
                    at: Moment {
                        boot: row.get(2)?,
                        wall: row.get(3)?,
                        mono: row.get(4)?,
                    },
                    length: row.get(5)?,
                })
            })?;
            marks.collect()
        };
        self.say(marks())
    }

    /// The interval of that number, if it is still there.
    pub fn interval(&self, number: i64) -> Result<Option<Interval>, Failure> {
        let found = select::intervals(&self.connection, "interval = ?1", [number]);
        self.say(found.map(|mut found| found.pop().map(|kept| kept.interval)))
    }

    /// What was recorded of a time besides intervals, incidents and lines of the kernel log.
    pub fn happenings(&self, wall: RangeInclusive<i64>) -> Result<Record, Failure> {
        let (from, to) = wall.into_inner();
        let connection = &self.connection;
        let record = || -> Result<Record> {
            Ok(Record {
                namespaces: select::namespaces(connection)?,
                limits: select::limits(connection, (from, to))?,
                events: select::events(connection, (from, to))?,
                fixes: select::fixes(connection, (from, to))?,
                gaps: select::gaps(connection, (from, to))?,
                ..Record::default()
            })
        };
        self.say(record())
    }
}
