//! The store as its only writer has it.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, Error, ErrorCode, Result as SqlResult, TransactionBehavior};

use crate::store::{
    begin::Begun,
    connect::{connect, wal_of},
    failure::Failure,
    insert,
    keep::{Bounds, Keeper},
    moment::Moment,
    record::Record,
};

/// The store as its only writer has it.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// None after an error that only a new connection can heal.
    connection: Option<Connection>,
    keeper: Keeper,
    begun: Begun,
    /// Which file it is: device and inode.
    identity: (u64, u64),
    /// Locked as long as this process writes.
    _lock: File,
}

impl Store {
    pub(super) fn new(
        path: PathBuf,
        connection: Connection,
        keeper: Keeper,
        begun: Begun,
        lock: File,
    ) -> Result<Self, Failure> {
        let identity = identity(&path).map_err(|error| Failure::System {
            what: format!("cannot read the attributes of {}", path.display()),
            error,
        })?;
        Ok(Self {
            path,
            connection: Some(connection),
            keeper,
            begun,
            identity,
            _lock: lock,
        })
    }

    /// The run that it was opened for.
    pub const fn begun(&self) -> &Begun {
        &self.begun
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is no longer where it was: somebody has removed or replaced it.
    pub fn is_gone(&self) -> bool {
        match identity(&self.path) {
            Ok(now) => now != self.identity,
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }

    /// Writes all of it, or nothing. Once it returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// Why it could not be written. It may be tried again.
    pub fn write(&mut self, record: &Record) -> Result<(), Failure> {
        let run = self.begun.run;
        self.with(|connection, _| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            insert_all(&transaction, run, record)?;
            transaction.commit()
        })
    }

    /// Keeps this much from now on.
    pub fn keep(&mut self, bounds: Bounds) {
        self.keeper.keep(bounds);
        // The next one is made with them.
        self.connection = None;
    }

    /// Keeps the file within its bounds; to be called after each writing.
    ///
    /// # Errors
    ///
    /// See [`Self::write`].
    pub fn tend(&mut self, now: Moment) -> Result<(), Failure> {
        self.with(|connection, keeper| keeper.tend(connection, now))
    }

    fn with(
        &mut self,
        act: impl FnOnce(&mut Connection, &mut Keeper) -> SqlResult<()>,
    ) -> Result<(), Failure> {
        self.check_wal()?;
        let failure = |error| Failure::Sqlite {
            path: self.path.clone(),
            error,
        };
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.path, self.keeper.bounds()).map_err(failure)?,
        };
        let outcome = act(&mut connection, &mut self.keeper);
        if outcome.as_ref().err().is_none_or(is_passing) {
            self.connection = Some(connection);
        }
        outcome.map_err(failure)
    }

    /// A reader that does not end keeps the log of changes growing.
    fn check_wal(&self) -> Result<(), Failure> {
        let size = || fs::metadata(wal_of(&self.path)).map_or(0, |file| file.len());
        let most = self.keeper.bounds().wal();
        let Some(connection) = self.connection.as_ref().filter(|_| size() > most) else {
            return Ok(());
        };
        // That it is busy is no error, but a column of the answer.
        let truncate = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        truncate.map_err(|error| Failure::Sqlite {
            path: self.path.clone(),
            error,
        })?;
        if size() > most {
            return Err(Failure::HeldByReader(self.path.clone()));
        }
        Ok(())
    }

    /// Writes without waiting for the disk: tests write years.
    #[cfg(test)]
    pub(crate) fn without_sync(&self) {
        let connection = self.connection.as_ref().unwrap();
        connection
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
    }

    /// What tests bring into disorder.
    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        self.connection.as_ref().unwrap()
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Whether the same connection may do better later.
fn is_passing(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull)
    )
}

fn insert_all(connection: &Connection, run: i64, record: &Record) -> SqlResult<()> {
    let each = |namespace| insert::namespace(connection, namespace);
    record.namespaces.iter().try_for_each(each)?;
    let each = |interval| insert::interval(connection, run, None, interval);
    record.intervals.iter().try_for_each(each)?;
    let each = |change| insert::limit(connection, change);
    record.limits.iter().try_for_each(each)?;
    let each = |survival| insert::survival(connection, survival);
    record.survivals.iter().try_for_each(each)?;
    let each = |event| insert::event(connection, event);
    record.events.iter().try_for_each(each)?;
    let each = |line| insert::log_line(connection, line);
    record.log_lines.iter().try_for_each(each)?;
    let each = |fix| insert::fix(connection, fix);
    record.fixes.iter().try_for_each(each)?;
    let each = |gap| insert::gap(connection, gap);
    record.gaps.iter().try_for_each(each)?;
    let each = |incident| insert::incident(connection, incident);
    record.incidents.iter().try_for_each(each)?;
    let each = |census| insert::census(connection, census);
    record.censuses.iter().try_for_each(each)?;
    match &record.run {
        Some(known) => insert::run(connection, run, known),
        None => Ok(()),
    }
}
