//! The store as its readers have it, while another process writes.

use std::{
    fs, io, iter,
    ops::RangeInclusive,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Params, Result as SqlResult};
use tempfile::TempDir;

use crate::{
    kernel::release::boot_id,
    store::{
        begin,
        connect::{PATIENCE, demand_file, wal_of},
        digest::{self, Asked, Digest},
        failure::{Failure, is_damage},
        incident::{Census, Incident},
        interval::Entries,
        record::{Namespace, PastRun, Record, Start},
        schema::Content,
        select, writer_lock,
    },
};

/// The store as its readers have it.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    pub(super) connection: Connection,
    /// What it reads instead, of a disk that cannot be written to; goes with it.
    _copy: Option<TempDir>,
}

/// The name of the copy.
const COPY: &str = "ctdrop.db";

fn is_read_only(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    )
}

/// Whether a file has a log of changes that are not in it yet, as after a power failure.
fn has_log(path: &Path) -> bool {
    fs::metadata(wal_of(path)).is_ok_and(|log| log.len() > 0)
}

/// A copy of a file and its log, which SQLite can put together.
fn copied(path: &Path) -> Result<TempDir, Failure> {
    let failure = |error| Failure::System {
        what: format!(
            "cannot copy {} to a temporary directory, to read it with its write-ahead log",
            path.display()
        ),
        error,
    };
    let directory = tempfile::tempdir().map_err(failure)?;
    let copy = directory.path().join(COPY);
    fs::copy(path, &copy).map_err(failure)?;
    fs::copy(wal_of(path), wal_of(&copy)).map_err(failure)?;
    Ok(directory)
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// Why it cannot be read: it is not there, is a later version's, or none of ours.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Failure::Missing(path.to_owned()));
            }
            Err(error) => {
                let what = format!("cannot read {}", path.display());
                return Err(Failure::System { what, error });
            }
            Ok(_) => {}
        }
        demand_file(path)?;
        let mut copy = None;
        let opened = match connect(path, false) {
            // On a disk that cannot be written to SQLite cannot follow a writer; there is none.
            Err(error) if is_read_only(&error) && has_log(path) => {
                let directory = copied(path)?;
                let opened = connect(&directory.path().join(COPY), false);
                copy = Some(directory);
                opened
            }
            Err(error) if is_read_only(&error) => connect(path, true),
            opened => opened,
        };
        let path = path.to_owned();
        match opened {
            Ok((connection, Content::Evidence)) => Ok(Self {
                path,
                connection,
                _copy: copy,
            }),
            Ok((_, Content::Newer(version))) => Err(Failure::Newer { path, version }),
            Ok((_, Content::Empty)) => Err(Failure::Missing(path)),
            Ok((_, Content::Foreign)) => Err(Failure::NotEvidence(path)),
            Err(error) if is_damage(&error) => Err(Failure::NotEvidence(path)),
            Err(error) => Err(Failure::Sqlite { path, error }),
        }
    }

    /// All incidents, in order.
    pub fn incidents(&self) -> Result<Vec<Incident>, Failure> {
        self.say(self.selected("TRUE", []))
    }

    /// The incident of that number.
    pub fn incident(&self, id: i64) -> Result<Option<Incident>, Failure> {
        let found = self.selected("incident = ?1", [id]);
        self.say(found.map(|mut found| found.pop()))
    }

    /// The last incident.
    pub fn last_incident(&self) -> Result<Option<Incident>, Failure> {
        let last = "incident = (SELECT max(incident) FROM incidents)";
        let found = self.selected(last, []);
        self.say(found.map(|mut found| found.pop()))
    }

    /// The incidents that a condition holds for. One that a ctdrop has left open which is
    /// gone is closed as the next one will close it.
    fn selected(&self, condition: &str, values: impl Params) -> SqlResult<Vec<Incident>> {
        let is_written = !writer_lock::is_free(&self.path);
        let mut found = select::incidents(&self.connection, condition, values)?;
        let mut open = found.iter_mut().filter(|found| found.closed.is_none());
        if let Some(first) = open.next()
            && !is_written
            && let Ok(boot_id) = boot_id()
            && let Some(why) = begin::ended(&self.connection, &boot_id)?
        {
            for incident in iter::once(first).chain(open) {
                incident.closed = Some((incident.last, why));
            }
        }
        Ok(found)
    }

    /// The censuses of an incident, in order of time.
    pub fn censuses(&self, incident: i64) -> Result<Vec<Census>, Failure> {
        self.say(select::censuses(&self.connection, incident))
    }

    /// All namespaces that are known.
    pub fn namespaces(&self) -> Result<Vec<Namespace>, Failure> {
        self.say(select::namespaces(&self.connection))
    }

    /// All evidence of a time, in milliseconds since 1970 by the clock of the host; in
    /// order of time, also where that clock was set back. Incidents are those that were
    /// open at any moment of it, with their censuses.
    pub fn record(&self, wall: RangeInclusive<i64>) -> Result<Record, Failure> {
        let time = wall.into_inner();
        self.say(self.record_of(time))
    }

    /// The entries of each table at the end of each interval of a boot, since a time of its
    /// monotonic clock, in milliseconds; in order of time.
    pub fn entries(&self, boot_id: &str, since: i64) -> Result<Vec<Entries>, Failure> {
        self.say(select::entries(&self.connection, boot_id, since))
    }

    /// What a time has in all, in points of time; `done` is told how much of it is read.
    pub fn digest(&self, asked: &Asked, done: &mut dyn FnMut(f64)) -> Result<Digest, Failure> {
        self.say(digest::digest(&self.connection, asked, done))
    }

    /// The runs of which a time has evidence.
    pub fn runs(&self, wall: RangeInclusive<i64>) -> Result<Vec<PastRun>, Failure> {
        self.say(select::runs(&self.connection, wall.into_inner()))
    }

    /// All runs, with what identifies them in any database.
    pub fn starts(&self) -> Result<Vec<Start>, Failure> {
        self.say(select::starts(&self.connection))
    }

    /// The ids of all boots.
    pub fn boots(&self) -> Result<Vec<String>, Failure> {
        self.say(select::boots(&self.connection))
    }

    /// The first and the last moment that something is known of, by the clock of the host.
    pub fn extent(&self) -> Result<Option<(i64, i64)>, Failure> {
        let sql = "SELECT min(first), max(last) FROM
            (SELECT min(wall) AS first, max(wall) AS last FROM intervals
            UNION ALL SELECT min(wall), max(coalesce(closed_wall, last_wall)) FROM incidents)";
        self.say(self.connection.query_row(sql, [], |row| {
            let first: Option<i64> = row.get(0)?;
            Ok(first.zip(row.get(1)?))
        }))
    }

    fn record_of(&self, time: (i64, i64)) -> SqlResult<Record> {
        let connection = &self.connection;
        let (from, to) = time;
        let intervals = select::intervals(connection, "wall BETWEEN ?1 AND ?2", [from, to])?;
        Ok(Record {
            intervals: intervals.into_iter().map(|kept| kept.interval).collect(),
            ..self.happened_of(time)?
        })
    }

    /// The same without intervals.
    pub fn happened(&self, wall: RangeInclusive<i64>) -> Result<Record, Failure> {
        self.say(self.happened_of(wall.into_inner()))
    }

    fn happened_of(&self, time: (i64, i64)) -> SqlResult<Record> {
        let connection = &self.connection;
        let (from, to) = time;
        let open = "incidents.wall <= ?2 AND coalesce(closed_wall, last_wall) >= ?1";
        let incidents = self.selected(open, [from, to])?;
        let mut censuses = Vec::new();
        for incident in &incidents {
            censuses.extend(select::censuses(connection, incident.id)?);
        }
        Ok(Record {
            namespaces: select::namespaces(connection)?,
            intervals: Vec::new(),
            survivals: select::survivals(connection, time)?,
            limits: select::limits(connection, time)?,
            events: select::events(connection, time)?,
            log_lines: select::log_lines(connection, time)?,
            fixes: select::fixes(connection, time)?,
            gaps: select::gaps(connection, time)?,
            incidents,
            censuses,
            run: None,
        })
    }

    pub(super) fn say<T>(&self, outcome: SqlResult<T>) -> Result<T, Failure> {
        outcome.map_err(|error| Failure::Sqlite {
            path: self.path.clone(),
            error,
        })
    }
}

/// Connects, and says what is in the file; `alone` if nobody writes to it.
fn connect(path: &Path, alone: bool) -> SqlResult<(Connection, Content)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let end = if alone { "?immutable=1" } else { "" };
    let connection = Connection::open_with_flags(format!("file:{}{end}", escaped(path)), flags)?;
    connection.busy_timeout(PATIENCE)?;
    let content = Content::of(&connection)?;
    Ok((connection, content))
}

/// A path as part of a URI.
fn escaped(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes().iter();
    bytes
        .map(|&byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
