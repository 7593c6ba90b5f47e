//! The begin of a run: which boot it is in, and what came before.

use rusqlite::{Connection, OptionalExtension as _, Result, TransactionBehavior, params};

use crate::store::{
    incident::ClosedBy,
    insert,
    moment::Moment,
    record::{Boot, Gap},
};

/// A run that has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Its number.
    pub run: i64,
    /// When it began; with the number of the boot.
    pub at: Moment,
    /// The time since the run before, if there was one.
    pub gap: Option<Gap>,
    /// The first free number of a namespace.
    pub next_netns: i64,
    /// The first free number of an incident.
    pub next_incident: i64,
}

/// How the run before ended.
struct Before {
    /// The last moment of which there is evidence.
    last: Moment,
    /// Whether it ended by itself.
    stopped: bool,
}

impl Before {
    /// Why it ended, in the boot of this number.
    const fn why(&self, boot: i64) -> ClosedBy {
        if self.last.boot != boot {
            ClosedBy::Reboot
        } else if self.stopped {
            ClosedBy::Stopped
        } else {
            ClosedBy::Killed
        }
    }
}

/// Why the last run ended, if nobody writes any more, in the boot of this id.
pub(super) fn ended(connection: &Connection, boot_id: &str) -> Result<Option<ClosedBy>> {
    let sql = "SELECT boot FROM boots WHERE boot_id = ?1";
    let boot = connection.query_row(sql, [boot_id], |row| row.get(0));
    // A boot that is not known has no evidence.
    let boot = boot.optional()?.unwrap_or(0);
    Ok(before(connection)?.map(|before| before.why(boot)))
}

/// Begins a run; what the one before has left open is closed.
pub(super) fn begin(connection: &mut Connection, boot: &Boot, now: Moment) -> Result<Begun> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = before(&transaction)?;
    let at = Moment {
        boot: number_of(&transaction, boot)?,
        ..now
    };
    let gap = before.map(|before| (before.last, before.why(at.boot)));
    if let Some((_, why)) = gap {
        transaction.execute(
            "UPDATE incidents SET closed_wall = last_wall, closed_mono = last_mono, closed_by = ?1
            WHERE closed_wall IS NULL",
            [why.as_str()],
        )?;
    }
    let gap = gap.map(|(from, why)| Gap {
        from,
        at,
        why: why.as_str().to_owned(),
        ..Gap::default()
    });
    if let Some(gap) = &gap {
        insert::gap(&transaction, gap)?;
    }
    transaction.execute(
        "INSERT INTO runs (boot, wall, mono, version) VALUES (?1, ?2, ?3, ?4)",
        params![at.boot, at.wall, at.mono, env!("CARGO_PKG_VERSION")],
    )?;
    let run = transaction.last_insert_rowid();
    let next = |sql: &str| transaction.query_row(sql, [], |row| row.get(0));
    let begun = Begun {
        run,
        at,
        gap,
        next_netns: next("SELECT coalesce(max(netns), 0) + 1 FROM namespaces")?,
        next_incident: next("SELECT coalesce(max(incident), 0) + 1 FROM incidents")?,
    };
    transaction.commit()?;
    Ok(begun)
}

fn number_of(connection: &Connection, boot: &Boot) -> Result<i64> {
    let sql = "INSERT INTO boots (boot_id, host, kernel, facts) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (boot_id) DO UPDATE SET facts = excluded.facts RETURNING boot";
    let Boot {
        boot_id,
        host,
        kernel,
        facts,
    } = boot;
    connection.query_row(sql, params![boot_id, host, kernel, facts], |row| row.get(0))
}

/// How the last run ended: by itself, or with its last interval, or its begin.
fn before(connection: &Connection) -> Result<Option<Before>> {
    let sql = "SELECT run, boot, wall, mono, ended_wall, ended_mono FROM runs
        ORDER BY run DESC LIMIT 1";
    let run = connection.query_row(sql, [], |row| {
        let moment = |wall: usize, mono: usize| -> Result<Moment> {
            Ok(Moment {
                boot: row.get(1)?,
                wall: row.get(wall)?,
                mono: row.get(mono)?,
            })
        };
        let ended: Option<i64> = row.get(4)?;
        let ended = ended.map(|_| moment(4, 5)).transpose()?;
        Ok((row.get::<_, i64>(0)?, moment(2, 3)?, ended))
    });
    let Some((run, began, ended)) = run.optional()? else {
        return Ok(None);
    };
    if let Some(last) = ended {
        return Ok(Some(Before {
            last,
            stopped: true,
        }));
    }
    let sql = "SELECT boot, wall, mono FROM intervals WHERE run = ?1
        ORDER BY interval DESC LIMIT 1";
    let last = connection.query_row(sql, [run], |row| {
        Ok(Moment {
            boot: row.get(0)?,
            wall: row.get(1)?,
            mono: row.get(2)?,
        })
    });
    Ok(Some(Before {
        last: last.optional()?.unwrap_or(began),
        stopped: false,
    }))
}
