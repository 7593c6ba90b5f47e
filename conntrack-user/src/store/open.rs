//! Opens a file for its writer: makes it, checks it, and sets aside what is none of
//! ours or damaged.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, Result as SqlResult};

use crate::{
    say::clock,
    store::{
        begin,
        connect::{PATIENCE, beside, connect, demand_file, format, wal_of},
        failure::{Failure, is_damage},
        keep::{Bounds, Keeper},
        moment::Moment,
        record::Boot,
        schema::{self, Content},
        write::Store,
        writer_lock,
    },
};

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What was set aside for it, and under which name: it was damaged, or the file of
    /// another program.
    pub set_aside: Option<PathBuf>,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Damaged,
    Foreign,
}

impl Store {
    /// Opens a file, or makes it, and begins a run in it.
    ///
    /// # Errors
    ///
    /// Why it cannot be written: another ctdrop does, it is a later one's, or what the
    /// system says.
    pub fn open(path: &Path, bounds: Bounds, boot: &Boot) -> Result<Opened, Failure> {
        demand_file(path)?;
        let lock = writer_lock::take(path)?;
        let failure = |error| Failure::Sqlite {
            path: path.to_owned(),
            error,
        };
        let mut set_aside = None;
        let mut connection = match examine(path, bounds)? {
            Ok(connection) => connection,
            Err(wrong) => {
                set_aside = Some(put_aside(path, wrong)?);
                make(path)?;
                let connected = format(path).and_then(|()| connect(path, bounds));
                connected.map_err(failure)?
            }
        };
        if Content::of(&connection).map_err(failure)? == Content::Empty {
            schema::create(&mut connection).map_err(failure)?;
        }
        let now = Moment::now(0);
        let begun = begin::begin(&mut connection, boot, now).map_err(failure)?;
        let keeper = Keeper::new(bounds);
        let store = Store::new(path.to_owned(), connection, keeper, begun, lock)?;
        Ok(Opened { store, set_aside })
    }
}

/// Connects to the file, and makes it if it is not there; or says what is wrong with it.
fn examine(path: &Path, bounds: Bounds) -> Result<Result<Connection, Wrong>, Failure> {
    make(path)?;
    let failure = |error| Failure::Sqlite {
        path: path.to_owned(),
        error,
    };
    // Read first: the file of another program stays as it is.
    let content = peek(path);
    match content {
        Ok(Content::Newer(version)) => {
            return Err(Failure::Newer {
                path: path.to_owned(),
                version,
            });
        }
        Ok(Content::Foreign) => return Ok(Err(Wrong::Foreign)),
        Ok(Content::Empty) => format(path).map_err(failure)?,
        Ok(Content::Evidence) => {}
        Err(error) if is_damage(&error) => return Ok(Err(wrong(path))),
        Err(error) => return Err(failure(error)),
    }
    let connected = connect(path, bounds).and_then(|connection| {
        let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok((connection, check == "ok"))
    });
    match connected {
        Ok((connection, true)) => Ok(Ok(connection)),
        Ok((_, false)) => Ok(Err(Wrong::Damaged)),
        Err(error) if is_damage(&error) => Ok(Err(Wrong::Damaged)),
        Err(error) => Err(failure(error)),
    }
}

fn peek(path: &Path) -> SqlResult<Content> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    Content::of(&connection)
}

/// Whether a file that SQLite cannot read was one of its own.
fn wrong(path: &Path) -> Wrong {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let begin = File::open(path).and_then(|mut file| {
        let mut begin = [0; MAGIC.len()];
        io::Read::read_exact(&mut file, &mut begin)?;
        Ok(begin)
    });
    match begin {
        Ok(begin) if begin == MAGIC => Wrong::Damaged,
        _ => Wrong::Foreign,
    }
}

/// Makes an empty file that only its owner can read, if there is none.
fn make(path: &Path) -> Result<(), Failure> {
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    made.map(drop).map_err(|error| Failure::System {
        what: format!("cannot write {}", path.display()),
        error,
    })
}

/// Gives the file and its log another name, and says which.
fn put_aside(path: &Path, wrong: Wrong) -> Result<PathBuf, Failure> {
    let what = match wrong {
        Wrong::Damaged => "damaged",
        Wrong::Foreign => "foreign",
    };
    let time = clock::now().replace(':', "-");
    let named = |number: u32| match number {
        0 => beside(path, &format!(".{what}-{time}")),
        more => beside(path, &format!(".{what}-{time}-{more}")),
    };
    let mut number = 0;
    while named(number).exists() {
        number += 1;
    }
    let aside = named(number);
    let rename = |from: &Path, to: &Path| match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::System {
            what: format!("cannot rename {} to {}", from.display(), to.display()),
            error,
        }),
        _ => Ok(()),
    };
    rename(&wal_of(path), &wal_of(&aside))?;
    rename(&beside(path, "-shm"), &beside(&aside, "-shm"))?;
    rename(path, &aside)?;
    Ok(aside)
}
