//! The file of the queue: who may read it, its size, and what becomes of a damaged one.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rusqlite::{Connection, Result as SqlResult};

use crate::say::journal::{self, Level};

/// Bytes of a page of the database.
pub(super) const PAGE: u64 = 4096;

const SCHEMA: &str = "
    PRAGMA user_version = 1;
    CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS open_incidents (
        incident INTEGER PRIMARY KEY, uid TEXT NOT NULL, body BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS metrics (
        run TEXT PRIMARY KEY, at INTEGER NOT NULL, points INTEGER NOT NULL, body BLOB NOT NULL);";

/// Opens the queue, or makes it. A damaged one is renamed and replaced.
pub(super) fn open(path: &Path, bound: u64) -> Result<Connection> {
    let connection = match made(path, bound)? {
        Err(error) if is_damage(&error) => {
            set_aside(path)?;
            made(path, bound)?
        }
        connected => connected,
    };
    connection.with_context(|| {
        format!(
            "cannot open {}, the queue of OTLP: if no other ctdrop daemon uses it, delete this file",
            path.display()
        )
    })
}

/// Opens the file. A new one only its owner can read: it has addresses. SQLite gives its log the
/// same rights.
fn made(path: &Path, bound: u64) -> Result<SqlResult<Connection>> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}, the queue of OTLP", path.display()))?;
    Ok(connect(path, bound))
}

/// Bytes of the database and its write-ahead log.
pub(super) fn size(path: &Path) -> u64 {
    let log = beside(path, "-wal");
    let length = |path: &Path| fs::metadata(path).map_or(0, |there| there.len());
    length(path) + length(&log)
}

/// A file with that name and an end.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// The most pages of the database; the rest of the maximum size is for its write-ahead log.
pub(super) const fn pages(bound: u64) -> u64 {
    bound / 4 * 3 / PAGE
}

/// Pages in use.
pub(super) fn used(connection: &Connection) -> SqlResult<u64> {
    let pragma = |name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u64>(0))
    };
    Ok(pragma("page_count")?.saturating_sub(pragma("freelist_count")?))
}

fn connect(path: &Path, bound: u64) -> SqlResult<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // Each commit is on the disk: no record is lost, and none that was accepted is sent again.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let log = bound / 16;
    let each = [
        ("wal_autocheckpoint", (log / PAGE).max(1)),
        ("journal_size_limit", log),
        ("max_page_count", pages(bound)),
    ];
    for (name, value) in each {
        connection.query_row(&format!("PRAGMA {name} = {value}"), [], |_| Ok(()))?;
    }
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(code, Some(said)));
    }
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase)
    )
}

/// Renames a damaged queue, and removes what belongs to it.
fn set_aside(path: &Path) -> Result<()> {
    let aside = beside(path, ".damaged");
    fs::rename(path, &aside).with_context(|| format!("cannot rename {}", path.display()))?;
    for end in ["-wal", "-shm"] {
        // It need not be there.
        let _ = fs::remove_file(beside(path, end));
    }
    let what = format!(
        "{} is damaged: ctdrop renamed it to {}, and does not send the records in it. ctdrop incidents \
         has the incidents",
        path.display(),
        aside.display()
    );
    journal::complain(Level::Error, what);
    Ok(())
}
