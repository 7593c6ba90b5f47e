//! What is wrong with a file of evidence, and what to do about it.

use std::{fmt, io, path::PathBuf};

use rusqlite::{ErrorCode, ffi::code_to_str};
use rustix::process::geteuid;

use crate::say::text::plain;

/// The options that name a file of evidence, or its directory.
const OPTIONS: &str = "--state-dir, --db, --record or --replay";

/// Why a file cannot be read or written.
#[derive(Debug)]
pub enum Failure {
    /// A later ctdrop made it.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// Another ctdrop records to it.
    InUse(PathBuf),
    /// There is none.
    Missing(PathBuf),
    /// It is a directory, a pipe or a device.
    NoFile(PathBuf),
    /// It is not a file of evidence, or damaged.
    NotEvidence(PathBuf),
    /// What SQLite says.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Its error.
        error: rusqlite::Error,
    },
    /// What the system says.
    System {
        /// What could not be done.
        what: String,
        /// Its error.
        error: io::Error,
    },
    /// A reader keeps the log of changes from being taken over.
    HeldByReader(PathBuf),
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { path, version } => write!(
                f,
                "a later version of ctdrop made {} (schema version {version}): update ctdrop, or name \
                 another one with {OPTIONS}",
                path.display()
            ),
            Self::InUse(path) => write!(
                f,
                "another ctdrop records to {}: stop that ctdrop, or name another file with {OPTIONS}",
                path.display()
            ),
            Self::Missing(path) => write!(
                f,
                "there is no evidence in {}: run ctdrop daemon to record some, or name another file with {OPTIONS}",
                path.display()
            ),
            Self::NoFile(path) => write!(
                f,
                "{} is not a regular file: name another one with {OPTIONS}",
                path.display()
            ),
            Self::NotEvidence(path) => write!(
                f,
                "{} is not a ctdrop evidence database, or it is damaged: name another one with {OPTIONS}",
                path.display()
            ),
            Self::Sqlite { path, error } => {
                let error_text = plain(&error.to_string());
                write!(f, "cannot use {}: {error_text}", path.display())?;
                f.write_str(remedy(error))
            }
            Self::System { what, error } => {
                write!(f, "{what}: {error}")?;
                f.write_str(remedy_of_system(error.kind()))
            }
            Self::HeldByReader(path) => write!(
                f,
                "another program keeps a read transaction open on {path}, so the write-ahead log \
                 (-wal) is full: find that program with fuser {path}, and end it",
                path = path.display()
            ),
        }
    }
}

fn remedy(error: &rusqlite::Error) -> &'static str {
    if is_foreign_value(error) {
        return ": ctdrop does not write such a value, so the file was edited or is damaged; name \
                a copy from before, with --state-dir, --db, --record or --replay";
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another program keeps it locked: end that program"
        }
        Some(ErrorCode::DiskFull) => {
            "; free space on the disk or, if the disk has space, raise --max-size"
        }
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            if geteuid().is_root() {
                "; check the permissions of the file and its directory, and whether the file \
                 system is mounted read-only"
            } else {
                "; run as root, and check whether the file system is mounted read-only"
            }
        }
        _ => "",
    }
}

impl Failure {
    /// The same without the path, for a list that has the path in another column. All words are of
    /// ctdrop, of SQLite or of the system.
    pub fn nameless(&self) -> String {
        match self {
            Self::Newer { version, .. } => {
                format!(
                    "a later version of ctdrop made it (schema version {version}): update ctdrop"
                )
            }
            Self::InUse(_) => "another ctdrop records to it".to_owned(),
            Self::Missing(_) => {
                "there is no evidence in it: name a directory or a file that ctdrop daemon has \
                 written"
                    .to_owned()
            }
            Self::NoFile(_) => "it is not a regular file".to_owned(),
            Self::NotEvidence(_) => {
                "it is not a ctdrop evidence database, or it is damaged".to_owned()
            }
            Self::Sqlite { error, .. } if is_foreign_value(error) => {
                "it has a value that ctdrop does not write: it was edited or is damaged".to_owned()
            }
            Self::Sqlite { error, .. } => {
                let said = error
                    .sqlite_error()
                    .map(|error| code_to_str(error.extended_code));
                let said = said.unwrap_or("SQLite cannot read it");
                format!("{said}{}", remedy(error))
            }
            Self::System { error, .. } => {
                format!("{}{}", error.kind(), remedy_of_system(error.kind()))
            }
            Self::HeldByReader(_) => {
                "another program keeps a read transaction open on it".to_owned()
            }
        }
    }

    /// Whether it does not help to try again: the file is damaged, or lacks what is
    /// referred to. It has to be opened anew, and all that is known written again.
    pub fn is_lasting(&self) -> bool {
        let lasting = |error: &rusqlite::Error| {
            is_damage(error) || error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        };
        match self {
            Self::NotEvidence(_) => true,
            Self::Sqlite { error, .. } => lasting(error),
            _ => false,
        }
    }
}

fn remedy_of_system(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied if geteuid().is_root() => {
            "; check the permissions of the file and its directory"
        }
        io::ErrorKind::PermissionDenied => "; run as root, or as the owner of the directory",
        io::ErrorKind::ReadOnlyFilesystem => "; name a directory on a writable file system",
        io::ErrorKind::StorageFull => {
            "; free space on the disk; for a temporary directory elsewhere, set TMPDIR"
        }
        _ => "",
    }
}

/// Whether a value is of another type, or out of the range, that ctdrop writes.
const fn is_foreign_value(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
    )
}

/// Whether a file is damaged, or was none of SQLite's.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_ctdrop_never_writes_is_told_as_such() {
        let failure = Failure::Sqlite {
            path: "/x/ctdrop.db".into(),
            error: rusqlite::Error::IntegralValueOutOfRange(3, -1),
        };
        let text = failure.to_string();
        assert!(text.starts_with("cannot use /x/ctdrop.db: "), "{text}");
        assert!(text.contains("the file was edited or is damaged"), "{text}");
    }

    #[test]
    fn without_a_name_it_still_says_what_is_wrong_and_no_option() {
        let path = || PathBuf::from("/secret/ctdrop.db");
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        for (failure, says) in [
            (Failure::Missing(path()), "no evidence in it"),
            (Failure::NoFile(path()), "not a regular file"),
            (Failure::NotEvidence(path()), "it is damaged"),
            (
                Failure::Sqlite {
                    path: path(),
                    error: rusqlite::Error::SqliteFailure(
                        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
                        Some("unable to open database file: /secret/ctdrop.db".to_owned()),
                    ),
                },
                "unable to open",
            ),
            (
                Failure::System {
                    what: "cannot read /secret/ctdrop.db".to_owned(),
                    error: denied,
                },
                "permission denied",
            ),
        ] {
            let said = failure.nameless();
            let lower = said.to_lowercase();
            assert!(lower.contains(says), "{said}");
            assert!(!said.contains("secret") && !said.contains("--"), "{said}");
        }
    }
}
