//! Rows out of tables.

use std::collections::HashMap;

use rusqlite::{Connection, Params, Result, Row, params};

use crate::store::{
    incident::{Census, CensusRow, ClosedBy, Incident},
    interval::{Entries, Flow, FlowKey, Interval, Table},
    moment::Moment,
    record::{
        Boot, Event, Fix, Gap, LimitChange, LogLine, Namespace, PastRun, Run, Start, Survival,
    },
};

/// An interval as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its number.
    pub(super) number: i64,
    /// The run that it is of.
    pub(super) run: i64,
    /// What was counted.
    pub(super) interval: Interval,
}

/// A moment in these columns.
fn moment(row: &Row<'_>, boot: &str, wall: &str, mono: &str) -> Result<Moment> {
    Ok(Moment {
        boot: row.get(boot)?,
        wall: row.get(wall)?,
        mono: row.get(mono)?,
    })
}

fn at(row: &Row<'_>) -> Result<Moment> {
    moment(row, "boot", "wall", "mono")
}

/// A moment in these columns of the same boot, if there is one.
fn later(row: &Row<'_>, wall: &str, mono: &str) -> Result<Option<Moment>> {
    let wall: Option<i64> = row.get(wall)?;
    let mono: Option<i64> = row.get(mono)?;
    let boot = row.get("boot")?;
    Ok(wall
        .zip(mono)
        .map(|(wall, mono)| Moment { boot, wall, mono }))
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    of: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    connection
        .prepare_cached(sql)?
        .query_map(params, of)?
        .collect()
}

/// The intervals of which `condition` holds, in order of time. It is about the table
/// `intervals`.
pub(super) fn intervals(
    connection: &Connection,
    condition: &str,
    params: impl Params + Copy,
) -> Result<Vec<Kept>> {
    let sql = format!("SELECT * FROM intervals WHERE {condition} ORDER BY boot, mono, interval");
    let mut kept = all(connection, &sql, params, kept)?;
    let places: HashMap<i64, usize> = kept.iter().map(|one| one.number).zip(0..).collect();
    let mut fill = |table: &str, into: fn(&mut Interval, &Row<'_>) -> Result<()>| -> Result<()> {
        let sql = format!(
            "SELECT {table}.* FROM intervals JOIN {table} USING (interval) WHERE {condition}"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            if let Some(&place) = places.get(&row.get("interval")?) {
                into(&mut kept[place].interval, row)?;
            }
        }
        Ok(())
    };
    fill("drops", |interval, row| {
        let key = (row.get("netns")?, row.get("reason")?);
        interval.drops.insert(key, row.get("packets")?);
        Ok(())
    })?;
    fill("tables", |interval, row| {
        interval.tables.insert(row.get("netns")?, table(row)?);
        Ok(())
    })?;
    // The rows of an interval come in the order of the key.
    fill("flows", |interval, row| {
        interval.flows.push(flow(row)?);
        Ok(())
    })?;
    Ok(kept)
}

fn kept(row: &Row<'_>) -> Result<Kept> {
    let pair = |one, other| -> Result<Option<(u64, u64)>> {
        let one: Option<u64> = row.get(one)?;
        let other: Option<u64> = row.get(other)?;
        Ok(one.zip(other))
    };
    Ok(Kept {
        number: row.get("interval")?,
        run: row.get("run")?,
        interval: Interval {
            at: at(row)?,
            length: row.get("length")?,
            refused: row.get("refused")?,
            range: pair("at_least", "at_most")?,
            evicted: row.get("evicted")?,
            clash_resolved: row.get("clash_resolved")?,
            non_packet: row.get("non_packet")?,
            rule_or_refused: row.get("rule_or_refused")?,
            unattributed: row.get("unattributed")?,
            new_flows: row.get("new_flows")?,
            rest_flows: row.get("rest_flows")?,
            limit: pair("max", "buckets")?,
            armed: row.get("armed")?,
            ..Interval::default()
        },
    })
}

fn table(row: &Row<'_>) -> Result<Table> {
    Ok(Table {
        entries: row.get("entries")?,
        most: row.get("most")?,
        refused: row.get("refused")?,
        evicted: row.get("evicted")?,
    })
}

fn flow(row: &Row<'_>) -> Result<Flow> {
    Ok(Flow {
        key: FlowKey {
            netns: row.get("netns")?,
            reason: row.get("reason")?,
            zone: row.get("zone")?,
            protocol: row.get("protocol")?,
            src: row.get("src")?,
            sport: row.get("sport")?,
            dst: row.get("dst")?,
            dport: row.get("dport")?,
            sender: row.get("sender")?,
        },
        packets: row.get("packets")?,
        total: row.get("total")?,
        first: row.get("first_mono")?,
        last: row.get("last_mono")?,
    })
}

/// The entries of tables in a boot, since a time of its monotonic clock.
pub(super) fn entries(connection: &Connection, boot_id: &str, since: i64) -> Result<Vec<Entries>> {
    // The runs of the boot lead to its intervals by an index.
    let sql = "SELECT namespaces.inode, intervals.mono, tables.entries, intervals.max
        FROM boots JOIN runs USING (boot) JOIN intervals USING (run)
        JOIN tables USING (interval) JOIN namespaces USING (netns)
        WHERE boots.boot_id = ?1 AND intervals.mono >= ?2 AND tables.entries IS NOT NULL
        ORDER BY intervals.mono";
    all(connection, sql, params![boot_id, since], |row| {
        Ok(Entries {
            inode: row.get(0)?,
            mono: row.get(1)?,
            entries: row.get(2)?,
            max: row.get(3)?,
        })
    })
}

/// All namespaces.
pub(super) fn namespaces(connection: &Connection) -> Result<Vec<Namespace>> {
    all(
        connection,
        "SELECT * FROM namespaces ORDER BY netns",
        [],
        |row| {
            Ok(Namespace {
                netns: row.get("netns")?,
                inode: row.get("inode")?,
                name: row.get("name")?,
                is_host: row.get("is_host")?,
                since: at(row)?,
                ended: later(row, "ended_wall", "ended_mono")?,
            })
        },
    )
}

/// Rows of a table by the time of their wall clock, in order of time.
fn between<T>(
    connection: &Connection,
    table: &str,
    (from, to): (i64, i64),
    of: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let sql =
        format!("SELECT * FROM {table} WHERE wall BETWEEN ?1 AND ?2 ORDER BY boot, mono, rowid");
    all(connection, &sql, [from, to], of)
}

/// Changes of the limit in a time.
pub(super) fn limits(connection: &Connection, time: (i64, i64)) -> Result<Vec<LimitChange>> {
    between(connection, "limits", time, |row| {
        Ok(LimitChange {
            at: at(row)?,
            max_before: row.get("max_before")?,
            buckets_before: row.get("buckets_before")?,
            max: row.get("max")?,
            buckets: row.get("buckets")?,
            made_by: row.get("made_by")?,
        })
    })
}

/// Predictions in a time, with the last one before it.
pub(super) fn survivals(connection: &Connection, time: (i64, i64)) -> Result<Vec<Survival>> {
    let of = |row: &Row<'_>| {
        let max: Option<u64> = row.get("max")?;
        let buckets: Option<u64> = row.get("buckets")?;
        Ok(Survival {
            at: at(row)?,
            cause: row.get("cause")?,
            in_force: max.zip(buckets),
            boot: row.get("boot_max")?,
            restart: row.get("restart_max")?,
            reload: row.get("reload_max")?,
            body: row.get("body")?,
        })
    };
    let before = "SELECT * FROM survivals WHERE wall < ?1 ORDER BY wall DESC LIMIT 1";
    let mut survivals = all(connection, before, [time.0], of)?;
    survivals.extend(between(connection, "survivals", time, of)?);
    Ok(survivals)
}

/// The runs that a time has evidence of.
pub(super) fn runs(connection: &Connection, (from, to): (i64, i64)) -> Result<Vec<PastRun>> {
    let sql = "SELECT runs.*, host, kernel, facts, boot_id FROM runs JOIN boots USING (boot)
        WHERE wall <= ?2 AND coalesce(ended_wall, ?2) >= ?1
        AND coalesce((SELECT min(later.wall) FROM runs AS later WHERE later.run > runs.run), ?2) >= ?1
        ORDER BY run";
    all(connection, sql, [from, to], |row| {
        Ok(PastRun {
            run: row.get("run")?,
            began: at(row)?,
            version: row.get("version")?,
            known: Run {
                backend: row.get("backend")?,
                start: row.get("start")?,
                losses: row.get("losses")?,
                ended: later(row, "ended_wall", "ended_mono")?,
            },
            boot: Boot {
                boot_id: row.get("boot_id")?,
                host: row.get("host")?,
                kernel: row.get("kernel")?,
                facts: row.get("facts")?,
            },
        })
    })
}

/// All runs, with what identifies them in any database.
pub(super) fn starts(connection: &Connection) -> Result<Vec<Start>> {
    let sql =
        "SELECT boot_id, wall, mono, coalesce(ended_mono, (SELECT intervals.mono FROM intervals
        WHERE intervals.run = runs.run ORDER BY interval DESC LIMIT 1), mono) AS until
        FROM runs JOIN boots USING (boot) ORDER BY run";
    all(connection, sql, [], |row| {
        Ok(Start {
            boot_id: row.get("boot_id")?,
            began: (row.get("wall")?, row.get("mono")?),
            until: row.get("until")?,
        })
    })
}

/// The ids of all boots.
pub(super) fn boots(connection: &Connection) -> Result<Vec<String>> {
    all(connection, "SELECT boot_id FROM boots", [], |row| {
        row.get(0)
    })
}

/// Events in a time.
pub(super) fn events(connection: &Connection, time: (i64, i64)) -> Result<Vec<Event>> {
    between(connection, "events", time, |row| {
        Ok(Event {
            at: at(row)?,
            event: row.get("event")?,
            detail: row.get("detail")?,
        })
    })
}

/// Lines of the kernel log in a time.
pub(super) fn log_lines(connection: &Connection, time: (i64, i64)) -> Result<Vec<LogLine>> {
    between(connection, "log_lines", time, |row| {
        Ok(LogLine {
            at: at(row)?,
            text: row.get("text")?,
        })
    })
}

/// Fixes in a time.
pub(super) fn fixes(connection: &Connection, time: (i64, i64)) -> Result<Vec<Fix>> {
    between(connection, "fixes", time, |row| {
        Ok(Fix {
            at: at(row)?,
            action: row.get("action")?,
            body: row.get("body")?,
        })
    })
}

/// Gaps that end in a time or reach into it.
pub(super) fn gaps(connection: &Connection, (from, to): (i64, i64)) -> Result<Vec<Gap>> {
    let sql = "SELECT * FROM gaps WHERE wall >= ?1 AND from_wall <= ?2 ORDER BY boot, mono, rowid";
    all(connection, sql, [from, to], |row| {
        Ok(Gap {
            from: moment(row, "from_boot", "from_wall", "from_mono")?,
            at: at(row)?,
            why: row.get("why")?,
            lost: row.get("lost")?,
            detail: row.get("detail")?,
        })
    })
}

/// The incidents of which `condition` holds, in order of time.
pub(super) fn incidents(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Vec<Incident>> {
    let sql = format!(
        "SELECT incidents.*, coalesce(namespaces.name, 'unknown') AS netns_name
        FROM incidents LEFT JOIN namespaces USING (netns)
        WHERE {condition} ORDER BY incident"
    );
    all(connection, &sql, params, |row| {
        let closed_by: Option<String> = row.get("closed_by")?;
        let closed_by = closed_by.and_then(|by| {
            let mut all = ClosedBy::ALL.into_iter();
            all.find(|known| known.as_str() == by)
        });
        let opened = at(row)?;
        Ok(Incident {
            id: row.get("incident")?,
            netns: row.get("netns")?,
            netns_name: row.get("netns_name")?,
            opened,
            last: moment(row, "boot", "last_wall", "last_mono")?,
            closed: later(row, "closed_wall", "closed_mono")?.zip(closed_by),
            refused: row.get("refused")?,
            drops: row.get("drops")?,
            flows: row.get("flows")?,
            entries: row.get("entries")?,
            max: row.get("max")?,
            kind: row.get("kind")?,
            confidence: row.get("confidence")?,
            culprit: row.get("culprit")?,
            body: row.get("body")?,
        })
    })
}

/// The censuses of an incident, in order of time.
pub(super) fn censuses(connection: &Connection, incident: i64) -> Result<Vec<Census>> {
    let sql = "SELECT * FROM censuses WHERE incident = ?1 ORDER BY census";
    let numbered = all(connection, sql, [incident], |row| {
        let number: i64 = row.get("census")?;
        let census = Census {
            incident: row.get("incident")?,
            at: at(row)?,
            cause: row.get("cause")?,
            entries: row.get("entries")?,
            unreplied: row.get("unreplied")?,
            established: row.get("established")?,
            idle: row.get("idle")?,
            idle_unknown: row.get("idle_unknown")?,
            error_bound: row.get("error_bound")?,
            rows: Vec::new(),
        };
        Ok((number, census))
    })?;
    let sql = "SELECT * FROM census_rows WHERE census = ?1 ORDER BY position";
    let each = numbered.into_iter().map(|(number, census)| {
        let rows = all(connection, sql, [number], |row| {
            Ok(CensusRow {
                by: row.get("by")?,
                key: row.get("key")?,
                owner: row.get("owner")?,
                entries: row.get("entries")?,
                unreplied: row.get("unreplied")?,
                idle: row.get("idle")?,
            })
        })?;
        Ok(Census { rows, ..census })
    });
    each.collect()
}
