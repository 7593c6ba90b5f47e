//! What is kept, and for how long: intervals become coarser with age, and go when they
//! are too old or when there is no room; summaries of incidents stay.
//!
//! The clock of the host may be wrong for a while. So a pass removes a day at most of
//! what is oldest, and no step of the clock can empty the store.

use std::time::Duration;

use rusqlite::{Connection, Result, params};

use crate::store::{
    insert,
    moment::Moment,
    select::{self, Kept},
};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The size of the file and its log of changes together, in bytes.
    pub bytes: u64,
    /// The age of intervals, censuses, events and lines of the kernel log.
    pub age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            age: Duration::from_hours(90 * 24),
        }
    }
}

/// The least size that makes sense.
pub const LEAST_BYTES: u64 = 4 << 20;

/// Size of a page of the file, in bytes.
pub(super) const PAGE: u64 = 4096;

/// How often what is old is looked for, in milliseconds.
const PASS: i64 = 3_600_000;

/// A day in milliseconds.
const DAY: i64 = 86_400_000;

/// From which age on intervals are how long, in milliseconds.
const TIERS: [(i64, i64); 3] = [(DAY, 10_000), (7 * DAY, 60_000), (30 * DAY, 600_000)];

/// Intervals that are read at once: one transaction, which the log of changes must hold.
const AT_ONCE: usize = 200;

/// How many of these are done in a pass for each tier.
const PORTIONS: usize = 200;

/// Rows that are removed at once when there is no room.
const REMOVED: i64 = 500;

/// How many incidents are kept.
const INCIDENTS: i64 = 10_000;

/// Tables with details, those that are dispensed with first in front.
const DETAILS: [&str; 8] = [
    "intervals",
    "log_lines",
    "censuses",
    "events",
    "fixes",
    "survivals",
    "limits",
    "gaps",
];

impl Bounds {
    /// What the file itself may take, in pages. Besides the log, a little is left for the
    /// transaction with which the log is found to be full.
    pub(super) const fn pages(self) -> u64 {
        (self.bytes - self.bytes / 8 - self.bytes / 64) / PAGE
    }

    /// What its log of changes may take, in bytes.
    pub(super) const fn wal(self) -> u64 {
        self.bytes / 8
    }
}

/// Keeps the store within its bounds.
#[derive(Debug)]
pub(super) struct Keeper {
    bounds: Bounds,
    /// When the last pass was.
    passed: Option<Moment>,
    /// The last interval that was looked at, for each tier.
    thinned: [i64; TIERS.len()],
}

impl Keeper {
    pub(super) const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            passed: None,
            thinned: [0; TIERS.len()],
        }
    }

    pub(super) const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Keeps this much from now on; what is too old is looked for at once.
    pub(super) fn keep(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.passed = None;
    }

    /// Does what is due.
    pub(super) fn tend(&mut self, connection: &mut Connection, now: Moment) -> Result<()> {
        make_room(connection, self.bounds)?;
        let due = self.passed.is_none_or(|passed| {
            passed.boot != now.boot || now.mono.saturating_sub(passed.mono) >= PASS
        });
        if due {
            self.passed = Some(now);
            self.thin(connection, now)?;
            let age = i64::try_from(self.bounds.age.as_millis()).unwrap_or(i64::MAX);
            forget(connection, now.wall.saturating_sub(age))?;
        }
        Ok(())
    }

    fn thin(&mut self, connection: &mut Connection, now: Moment) -> Result<()> {
        for ((age, length), thinned) in TIERS.into_iter().zip(&mut self.thinned) {
            for _ in 0..PORTIONS {
                let transaction = connection.transaction()?;
                let old = select::intervals(
                    &transaction,
                    &format!(
                        "wall < ?2 AND interval IN (SELECT interval FROM intervals
                        WHERE interval > ?1 ORDER BY interval LIMIT {AT_ONCE})"
                    ),
                    params![*thinned, now.wall.saturating_sub(age)],
                )?;
                let is_last = old.len() < AT_ONCE;
                let mut groups = groups(old, length);
                // What follows the last one may belong to it.
                if !is_last && groups.len() > 1 {
                    groups.pop();
                }
                for group in groups {
                    *thinned = group
                        .iter()
                        .fold(*thinned, |last, one| last.max(one.number));
                    coarsen(&transaction, group)?;
                }
                transaction.commit()?;
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Intervals that follow one another within the same `length` milliseconds, in groups.
fn groups(old: Vec<Kept>, length: i64) -> Vec<Vec<Kept>> {
    let follows = |one: &Kept, next: &Kept| {
        let (one_begin, begin) = (one.interval.began(), next.interval.began());
        next.run == one.run
            && begin / length == one_begin / length
            && begin.saturating_sub(one.interval.at.mono) < length
    };
    let mut groups: Vec<Vec<Kept>> = Vec::new();
    for next in old {
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|last| follows(last, &next)) => {
                group.push(next);
            }
            _ => groups.push(vec![next]),
        }
    }
    groups
}

/// Makes one interval of several.
fn coarsen(connection: &Connection, group: Vec<Kept>) -> Result<()> {
    if group.len() < 2 {
        return Ok(());
    }
    let mut remove = connection.prepare_cached("DELETE FROM intervals WHERE interval = ?1")?;
    for one in &group {
        remove.execute([one.number])?;
    }
    let sum = group.into_iter().reduce(|mut sum, next| {
        sum.interval.join(next.interval);
        sum
    });
    match sum {
        Some(sum) => insert::interval(connection, sum.run, Some(sum.number), &sum.interval),
        None => Ok(()),
    }
}

/// Removes what is from before that time, but of each table no more than a day; and
/// what nothing refers to any more.
fn forget(connection: &mut Connection, before: i64) -> Result<()> {
    let transaction = connection.transaction()?;
    for table in DETAILS {
        let sql = format!(
            "DELETE FROM {table} WHERE wall < min(?1, (SELECT min(wall) FROM {table}) + {DAY})"
        );
        transaction.execute(&sql, [before])?;
    }
    transaction.execute(
        "DELETE FROM incidents WHERE incident <= (SELECT max(incident) FROM incidents) - ?1",
        [INCIDENTS],
    )?;
    transaction.execute(
        "DELETE FROM runs WHERE run < (SELECT min(run) FROM intervals)",
        [],
    )?;
    transaction.execute(
        "DELETE FROM namespaces WHERE netns NOT IN (SELECT netns FROM incidents) AND
        (ended_wall < (SELECT min(wall) FROM intervals) OR boot < (SELECT min(boot) FROM intervals))",
        [],
    )?;
    transaction.commit()
}

/// Removes what is oldest while there is hardly any room.
fn make_room(connection: &mut Connection, bounds: Bounds) -> Result<()> {
    let crowded = bounds.pages() / 10 * 9;
    for table in DETAILS.into_iter().chain(["incidents"]) {
        while used(connection)? > crowded {
            let sql = format!(
                "DELETE FROM {table} WHERE rowid IN
                (SELECT rowid FROM {table} ORDER BY rowid LIMIT {REMOVED})"
            );
            if connection.execute(&sql, [])? == 0 {
                break;
            }
        }
    }
    if number(connection, "page_count")? > bounds.pages() {
        // Each step frees a page.
        let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
        let mut steps = vacuum.query([])?;
        while steps.next()?.is_some() {}
    }
    Ok(())
}

/// Pages in use.
fn used(connection: &Connection) -> Result<u64> {
    let free = number(connection, "freelist_count")?;
    Ok(number(connection, "page_count")?.saturating_sub(free))
}

fn number(connection: &Connection, pragma: &str) -> Result<u64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}
