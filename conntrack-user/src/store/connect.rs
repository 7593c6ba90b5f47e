//! A connection that may write, and the files that belong to one.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Result};

use crate::store::keep::{Bounds, PAGE};

/// How long another program may keep the file locked.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Gives an empty file its format, which no other can be given.
pub(super) fn format(path: &Path) -> Result<()> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
}

/// Connects to a file that has one.
pub(super) fn connect(path: &Path, bounds: Bounds) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // A transaction is on the disk once it is committed.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let wal = bounds.wal();
    // A quarter of what it may take, 1 MiB at the most.
    let pages = (wal / 4).min(1 << 20) / PAGE;
    connection.query_row(&format!("PRAGMA wal_autocheckpoint = {pages}"), [], |_| {
        Ok(())
    })?;
    connection.query_row(
        &format!("PRAGMA journal_size_limit = {}", wal / 2),
        [],
        |_| Ok(()),
    )?;
    let most = format!("PRAGMA max_page_count = {}", bounds.pages());
    connection.query_row(&most, [], |_| Ok(()))?;
    Ok(connection)
}

/// The log of changes of a file.
pub(super) fn wal_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// A file beside, with the same name and an end.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}
