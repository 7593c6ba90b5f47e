//! The lock of whoever writes to a store, on a file of its own beside it: closing the
//! database itself would drop SQLite's locks.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    thread,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::store::{
    connect::{beside, demand_file},
    failure::Failure,
};

/// The end of its name.
const END: &str = ".lock";

/// How often a lock is tried, and how long apart: a reader holds it for a moment, to see
/// whether somebody writes.
const TRIES: u32 = 10;
const APART: Duration = Duration::from_millis(20);

/// Makes sure that no other ctdrop writes to the store, as long as the file is open.
///
/// # Errors
///
/// If another one does, or what the system says.
pub(super) fn take(store: &Path) -> Result<File, Failure> {
    let path = beside(store, END);
    demand_file(&path)?;
    let failure = |error| Failure::System {
        what: format!("cannot lock {}", path.display()),
        error,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failure)?;
    for number in 1.. {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if number < TRIES => thread::sleep(APART),
            Err(Errno::WOULDBLOCK) => return Err(Failure::InUse(store.to_owned())),
            Err(error) => return Err(failure(error.into())),
        }
    }
    Ok(file)
}

/// Whether nobody writes to the store. That cannot be known of a copy, which has no such
/// file.
pub(super) fn is_free(store: &Path) -> bool {
    let path = beside(store, END);
    let is_file = fs::metadata(&path).is_ok_and(|found| found.is_file());
    let file = is_file.then(|| File::open(&path)).and_then(Result::ok);
    file.is_some_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
}
