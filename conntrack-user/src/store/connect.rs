//! A connection that may write, and the files that belong to one.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Result as SqlResult};

use crate::store::{
    failure::Failure,
    keep::{Bounds, PAGE},
};

/// How long another program may keep the file locked.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Refuses what is there and is no regular file: to open a pipe waits for a writer.
pub(super) fn demand_file(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => Err(Failure::NoFile(path.to_owned())),
        _ => Ok(()),
    }
}

/// Whether a file is a store or belongs to it, by whatever name.
pub fn is_part_of(file: &Path, store: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let parts = ["", "-wal", "-shm", ".lock"].map(|end| beside(store, end));
    parts
        .iter()
        .any(|part| file == part || inode(file).is_some_and(|found| inode(part) == Some(found)))
}

/// Gives an empty file its format, which no other can be given.
pub(super) fn format(path: &Path) -> SqlResult<()> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
}

/// Connects to a file that has one.
pub(super) fn connect(path: &Path, bounds: Bounds) -> SqlResult<Connection> {
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
