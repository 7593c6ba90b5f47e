//! Records that wait to be sent: a database of their own in the state directory, which
//! survives a restart and a kill, and never becomes larger than its maximum size.
//!
//! One transaction writes the record of an incident, and whether the incident is open. While the
//! disk cannot be written, a bounded number of records waits in memory.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _, Result as SqlResult, Transaction, params};

use super::queue_file::{PAGE, open, pages, size, used};
use crate::{
    say::journal::{self, Level},
    subscribers::metrics::export::Counts,
};

/// The file in the state directory.
pub(super) const FILE: &str = "otlp.db";

/// The most records in memory while the disk cannot be written.
const IN_MEMORY: usize = 256;

/// Records that are dropped at a time when the queue is full.
const AT_A_TIME: u32 = 16;

/// Earlier runs whose last metrics are kept.
const RUNS: u32 = 8;

/// A record on its way into the queue.
#[derive(Clone, Debug)]
pub(super) struct Put {
    /// The record.
    pub(super) body: Vec<u8>,
    /// The incident that it is about.
    pub(super) incident: i64,
    /// The uid of the incident; none if this is its last record.
    pub(super) open: Option<String>,
}

/// An incident without a record of its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfinished {
    pub(super) incident: i64,
    pub(super) uid: String,
    /// The last record of it.
    pub(super) body: Vec<u8>,
}

/// Records that are being sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    /// The first and last number in the database; none of those that are only in memory.
    ids: Option<(i64, i64)>,
    pub(super) records: Vec<Vec<u8>>,
}

/// Metrics of an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Earlier {
    pub(super) run: String,
    pub(super) points: u64,
    pub(super) body: Vec<u8>,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    path: PathBuf,
    /// Its maximum size in bytes.
    bound: u64,
    connection: Option<Connection>,
    /// Records in the database.
    rows: u64,
    memory: VecDeque<Put>,
    /// The number of the last record that is being sent. Records up to it are not dropped.
    in_flight: i64,
    /// How many records in memory are being sent.
    memory_in_flight: usize,
    counts: Arc<Counts>,
    /// Whether a message has said that the disk cannot be written.
    has_complained: bool,
}

impl Queue {
    /// Opens the queue in this directory, or makes it. A damaged one is renamed and replaced.
    pub(super) fn open(directory: &Path, bound: u64, counts: Arc<Counts>) -> Result<Self> {
        let path = directory.join(FILE);
        let connection = open(&path, bound)?;
        let sql = "SELECT count(*) FROM records";
        let rows = connection.query_row(sql, [], |row| row.get(0))?;
        let queue = Self {
            path,
            bound,
            rows,
            connection: Some(connection),
            memory: VecDeque::new(),
            in_flight: 0,
            memory_in_flight: 0,
            counts,
            has_complained: false,
        };
        queue.count();
        Ok(queue)
    }

    /// Adds a record. If the queue is full, the oldest records are dropped.
    pub(super) fn put(&mut self, put: Put) {
        self.memory.push_back(put);
        self.write();
        if self.memory.len() > IN_MEMORY {
            self.memory.remove(self.memory_in_flight);
            self.counts.change(|export| export.dropped.unwritable += 1);
        }
        self.count();
    }

    /// Writes what is in memory.
    fn write(&mut self) {
        // What is being sent would be sent twice.
        if self.memory_in_flight > 0 {
            return;
        }
        while let Some(put) = self.memory.front() {
            match self.insert(put) {
                Ok(dropped) => {
                    self.memory.pop_front();
                    self.rows += 1;
                    self.dropped(dropped);
                    self.has_complained = false;
                }
                Err(error) => {
                    if !self.has_complained {
                        let path = self.path.display();
                        let what = format!(
                            "cannot write {path}: {error}. Up to {IN_MEMORY} records for OTLP wait \
                             in memory"
                        );
                        journal::complain(Level::Error, what);
                        self.has_complained = true;
                    }
                    return;
                }
            }
        }
    }

    fn dropped(&mut self, records: u64) {
        self.rows = self.rows.saturating_sub(records);
        if records > 0 {
            let all = self.counts.now().dropped.queue_full + records;
            self.counts.change(|export| export.dropped.queue_full = all);
            let what = format!(
                "the queue of OTLP is full (otlp.queue_size): ctdrop dropped the {records} oldest \
                 records of incidents, {all} since its start. ctdrop incidents still has the incidents"
            );
            journal::complain(Level::Error, what);
        }
    }

    /// Writes a record. Says how many old records were dropped for it.
    fn insert(&self, put: &Put) -> SqlResult<u64> {
        let Some(connection) = &self.connection else {
            return Err(rusqlite::Error::InvalidQuery);
        };
        let transaction = connection.unchecked_transaction()?;
        let dropped = self.make_room(&transaction, put.body.len())?;
        transaction.execute("INSERT INTO records (body) VALUES (?1)", [&put.body])?;
        if let Some(uid) = &put.open {
            transaction.execute(
                "INSERT OR REPLACE INTO open_incidents VALUES (?1, ?2, ?3)",
                params![put.incident, uid, put.body],
            )?;
        } else {
            transaction.execute(
                "DELETE FROM open_incidents WHERE incident = ?1",
                [put.incident],
            )?;
        }
        transaction.commit()?;
        Ok(dropped)
    }

    fn make_room(&self, transaction: &Transaction<'_>, bytes: usize) -> SqlResult<u64> {
        // Two copies of the record, and the inner pages of the two trees.
        let need = 2 * (bytes as u64 / PAGE + 1) + 4;
        let budget = pages(self.bound).saturating_sub(8);
        let mut dropped = 0;
        while used(transaction)? + need > budget {
            let sql = "DELETE FROM records WHERE id IN
                (SELECT id FROM records WHERE id > ?1 ORDER BY id LIMIT ?2)";
            let now = transaction.execute(sql, params![self.in_flight, AT_A_TIME])?;
            if now == 0 {
                break;
            }
            dropped += now as u64;
        }
        Ok(dropped)
    }

    /// The oldest records: at most so many, and at most so many bytes together, but at least one.
    pub(super) fn next(&mut self, most: usize, bytes: usize) -> Result<Batch> {
        self.put_back();
        self.write();
        let mut batch = Batch::default();
        let mut size = 0;
        if let Some(connection) = &self.connection {
            let sql = "SELECT id, body FROM records ORDER BY id LIMIT ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([most])?;
            while let Some(row) = rows.next()? {
                let (id, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
                size += body.len();
                if size > bytes && batch.ids.is_some() {
                    break;
                }
                batch.ids = Some((batch.ids.map_or(id, |(first, _)| first), id));
                batch.records.push(body);
            }
        }
        if let Some((_, last)) = batch.ids {
            self.in_flight = last;
        } else {
            let first = self.memory.iter().take(most);
            batch.records = first.map(|put| put.body.clone()).collect();
            self.memory_in_flight = batch.records.len();
        }
        Ok(batch)
    }

    /// Removes records that need not be sent any more.
    pub(super) fn remove(&mut self, batch: &Batch) -> Result<()> {
        if let (Some((first, last)), Some(connection)) = (batch.ids, &self.connection) {
            let removed = connection.execute(
                "DELETE FROM records WHERE id BETWEEN ?1 AND ?2",
                [first, last],
            )?;
            self.rows = self.rows.saturating_sub(removed as u64);
        }
        self.memory.drain(..self.memory_in_flight);
        self.put_back();
        self.count();
        Ok(())
    }

    /// The records that were being sent are to be sent again.
    pub(super) const fn put_back(&mut self) {
        self.in_flight = 0;
        self.memory_in_flight = 0;
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.now().queued == 0
    }

    /// The incidents without a record of their end.
    pub(super) fn unfinished(&self) -> Result<Vec<Unfinished>> {
        let Some(connection) = &self.connection else {
            return Ok(Vec::new());
        };
        let sql = "SELECT incident, uid, body FROM open_incidents ORDER BY incident";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Unfinished {
                incident: row.get(0)?,
                uid: row.get(1)?,
                body: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<SqlResult<_>>()?)
    }

    /// Keeps the latest metrics of a run, instead of its earlier ones. Says how many data points of
    /// the oldest runs were dropped for them.
    pub(super) fn keep_metrics(&mut self, earlier: &Earlier, at: i64) -> Result<u64> {
        let Some(connection) = &self.connection else {
            return Ok(0);
        };
        let transaction = connection.unchecked_transaction()?;
        let dropped = self.make_room(&transaction, earlier.body.len())?;
        transaction.execute(
            "INSERT OR REPLACE INTO metrics VALUES (?1, ?2, ?3, ?4)",
            params![earlier.run, at, earlier.points, earlier.body],
        )?;
        let others = "run NOT IN (SELECT run FROM metrics ORDER BY at DESC LIMIT ?1)";
        let sql = format!("SELECT coalesce(sum(points), 0) FROM metrics WHERE {others}");
        let lost: u64 = transaction.query_row(&sql, [RUNS], |row| row.get(0))?;
        transaction.execute(&format!("DELETE FROM metrics WHERE {others}"), [RUNS])?;
        transaction.commit()?;
        self.dropped(dropped);
        self.count();
        Ok(lost)
    }

    /// The oldest metrics that were kept of another run than this.
    pub(super) fn earlier_metrics(&self, run: &str) -> Result<Option<Earlier>> {
        let Some(connection) = &self.connection else {
            return Ok(None);
        };
        let sql = "SELECT run, points, body FROM metrics WHERE run <> ?1 ORDER BY at LIMIT 1";
        let found = connection.query_row(sql, [run], |row| {
            Ok(Earlier {
                run: row.get(0)?,
                points: row.get(1)?,
                body: row.get(2)?,
            })
        });
        Ok(found.optional()?)
    }

    /// Removes the metrics of a run.
    pub(super) fn forget_metrics(&mut self, run: &str) -> Result<()> {
        if let Some(connection) = &self.connection {
            connection.execute("DELETE FROM metrics WHERE run = ?1", [run])?;
        }
        self.count();
        Ok(())
    }

    /// Updates the counts of what waits.
    fn count(&self) {
        let bytes = size(&self.path);
        self.counts.change(|export| {
            export.queued = self.rows + self.memory.len() as u64;
            export.queue_bytes = bytes;
            export.queue_limit = self.bound;
        });
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.put_back();
        self.write();
        if !self.memory.is_empty() {
            let what = format!(
                "{} records for OTLP are lost, because {} cannot be written. ctdrop incidents has the \
                 incidents",
                self.memory.len(),
                self.path.display()
            );
            journal::complain(Level::Error, what);
        }
    }
}
