//! The schema, and which version of it a file has.

use rusqlite::{Connection, Result, params};

/// The schema, as docs/evidence.md has it.
pub(super) const SCHEMA: &str = include_str!("schema.sql");

/// Its version; a file with a higher one was made by a later ctdrop.
pub(super) const VERSION: i64 = 1;

/// "CTDR": tells the file from other databases.
pub(super) const APPLICATION: i64 = 0x4354_4452;

/// What a file says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing yet.
    Empty,
    /// Evidence of this version.
    Evidence,
    /// Evidence of a later version.
    Newer(i64),
    /// The database of another program.
    Foreign,
}

impl Content {
    pub(super) fn of(connection: &Connection) -> Result<Self> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let objects: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let (application, version) = (pragma("application_id")?, pragma("user_version")?);
        Ok(match (application, version) {
            (0, 0) if objects == 0 => Self::Empty,
            (APPLICATION, VERSION) => Self::Evidence,
            (APPLICATION, newer) if newer > VERSION => Self::Newer(newer),
            _ => Self::Foreign,
        })
    }
}

/// Makes the tables, all of them or none.
pub(super) fn create(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT INTO meta (version, made_by) VALUES (?1, ?2)",
        params![VERSION, env!("CARGO_PKG_VERSION")],
    )?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
