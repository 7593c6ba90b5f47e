//! The evidence as anybody can read it: with SQLite, by the schema in docs/evidence.md.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rusqlite::{Connection, OpenFlags, Params};

/// An open database.
#[derive(Debug)]
pub struct Database(Connection);

/// A time without evidence, or with less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub why: String,
    /// When it began and ended, in milliseconds since 1970.
    pub from: i64,
    /// Its end.
    pub to: i64,
    /// Rows that had no room in memory.
    pub lost: u64,
}

impl Database {
    /// Opens that of a directory, to read it.
    pub fn of(directory: &Path) -> Result<Self> {
        let path = directory.join("ctdrop.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags);
        let connection = connection.with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self(connection))
    }

    /// Opens that of a directory to which nobody writes, and takes in what only its log
    /// of changes has, as the next writer does.
    pub fn replayed(directory: &Path) -> Result<Self> {
        let path = directory.join("ctdrop.db");
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        let connection = connection.with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self(connection))
    }

    /// Demands that SQLite finds nothing wrong with it.
    pub fn demand_integrity(&self) -> Result<()> {
        let found: String = self.one("PRAGMA integrity_check", [])?;
        ensure!(found == "ok", "PRAGMA integrity_check says {found}");
        Ok(())
    }

    /// Packets refused in a namespace, of all intervals; `%` stands for any.
    pub fn refused_in(&self, netns: &str) -> Result<u64> {
        self.one(
            "SELECT coalesce(sum(packets), 0) FROM drops JOIN namespaces USING (netns)
            WHERE name LIKE ?1",
            [netns],
        )
    }

    /// Packets refused since the last start of the kernel that is recorded.
    pub fn refused_in_last_boot(&self) -> Result<u64> {
        self.one(
            "SELECT coalesce(sum(refused), 0) FROM intervals
            WHERE boot = (SELECT max(boot) FROM boots)",
            [],
        )
    }

    /// Until when, by the monotonic clock, there is evidence of the last boot, in
    /// milliseconds.
    pub fn until(&self) -> Result<i64> {
        self.one(
            "SELECT max(mono) FROM (SELECT mono, boot FROM runs UNION ALL
            SELECT mono, boot FROM intervals) WHERE boot = (SELECT max(boot) FROM boots)",
            [],
        )
    }

    /// How many there are of something.
    pub fn count(&self, what: &str) -> Result<u64> {
        self.one(&format!("SELECT count(*) FROM {what}"), [])
    }

    /// All gaps, in order.
    pub fn gaps(&self) -> Result<Vec<Gap>> {
        let sql = "SELECT why, from_wall, wall, lost FROM gaps ORDER BY boot, mono, rowid";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Gap {
                why: row.get(0)?,
                from: row.get(1)?,
                to: row.get(2)?,
                lost: row.get(3)?,
            })
        })?;
        rows.collect::<Result<_, _>>().context("cannot read gaps")
    }

    fn one<T: rusqlite::types::FromSql>(&self, sql: &str, params: impl Params) -> Result<T> {
        let found = self.0.query_row(sql, params, |row| row.get(0));
        found.with_context(|| sql.to_owned())
    }
}
