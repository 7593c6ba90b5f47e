//! Rows into tables.

use rusqlite::{Connection, Result, params};

use crate::store::{
    incident::{Census, Incident},
    interval::Interval,
    moment::Moment,
    record::{Event, Fix, Gap, LimitChange, LogLine, Namespace, Run, Survival},
};

fn wall(at: Option<Moment>) -> Option<i64> {
    at.map(|at| at.wall)
}

fn mono(at: Option<Moment>) -> Option<i64> {
    at.map(|at| at.mono)
}

/// A namespace, or what has changed of it.
pub(super) fn namespace(connection: &Connection, namespace: &Namespace) -> Result<()> {
    let Namespace {
        netns,
        inode,
        name,
        is_host,
        since,
        ended,
    } = namespace;
    let sql = "INSERT INTO namespaces (netns, boot, inode, name, is_host, wall, mono, ended_wall, ended_mono)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (netns) DO UPDATE SET name = excluded.name, is_host = excluded.is_host,
        ended_wall = excluded.ended_wall, ended_mono = excluded.ended_mono";
    connection.prepare_cached(sql)?.execute(params![
        netns,
        since.boot,
        inode,
        name,
        is_host,
        since.wall,
        since.mono,
        wall(*ended),
        mono(*ended),
    ])?;
    Ok(())
}

/// An interval, with a number of its own or as the one of that number.
pub(super) fn interval(
    connection: &Connection,
    run: i64,
    number: Option<i64>,
    interval: &Interval,
) -> Result<()> {
    let Interval {
        at, range, limit, ..
    } = interval;
    let sql = "INSERT INTO intervals (interval, run, boot, wall, mono, length, refused, at_least,
        at_most, evicted, clash_resolved, non_packet, rule_or_refused, unattributed, new_flows,
        rest_flows, max, buckets, armed)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
    connection.prepare_cached(sql)?.execute(params![
        number,
        run,
        at.boot,
        at.wall,
        at.mono,
        interval.length,
        interval.refused,
        range.map(|(least, _)| least),
        range.map(|(_, most)| most),
        interval.evicted,
        interval.clash_resolved,
        interval.non_packet,
        interval.rule_or_refused,
        interval.unattributed,
        interval.new_flows,
        interval.rest_flows,
        limit.map(|(max, _)| max),
        limit.map(|(_, buckets)| buckets),
        interval.armed,
    ])?;
    let number = connection.last_insert_rowid();
    let sql = "INSERT INTO drops (interval, netns, reason, packets) VALUES (?1, ?2, ?3, ?4)";
    let mut drops = connection.prepare_cached(sql)?;
    for ((netns, reason), packets) in &interval.drops {
        drops.execute(params![number, netns, reason, packets])?;
    }
    let sql = "INSERT INTO tables (interval, netns, entries, most, refused, evicted)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut tables = connection.prepare_cached(sql)?;
    for (netns, table) in &interval.tables {
        let (entries, most) = (table.entries, table.most);
        tables.execute(params![
            number,
            netns,
            entries,
            most,
            table.refused,
            table.evicted
        ])?;
    }
    flows(connection, number, interval)
}

fn flows(connection: &Connection, number: i64, interval: &Interval) -> Result<()> {
    let sql =
        "INSERT INTO flows (interval, position, netns, reason, zone, protocol, src, sport, dst,
        dport, sender, packets, total, first_mono, last_mono)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    let mut statement = connection.prepare_cached(sql)?;
    for (position, flow) in (0_i64..).zip(&interval.flows) {
        let key = &flow.key;
        statement.execute(params![
            number,
            position,
            key.netns,
            key.reason,
            key.zone,
            key.protocol,
            key.src,
            key.sport,
            key.dst,
            key.dport,
            key.sender,
            flow.packets,
            flow.total,
            flow.first,
            flow.last,
        ])?;
    }
    Ok(())
}

/// A change of the limit.
pub(super) fn limit(connection: &Connection, change: &LimitChange) -> Result<()> {
    let sql =
        "INSERT INTO limits (boot, wall, mono, max_before, buckets_before, max, buckets, made_by)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        change.at.boot,
        change.at.wall,
        change.at.mono,
        change.max_before,
        change.buckets_before,
        change.max,
        change.buckets,
        change.made_by,
    ])?;
    Ok(())
}

/// What would be in force after a boot and the like.
pub(super) fn survival(connection: &Connection, survival: &Survival) -> Result<()> {
    let sql = "INSERT INTO survivals (boot, wall, mono, cause, max, buckets, boot_max, restart_max,
        reload_max, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let at = survival.at;
    connection.prepare_cached(sql)?.execute(params![
        at.boot,
        at.wall,
        at.mono,
        survival.cause,
        survival.in_force.map(|(max, _)| max),
        survival.in_force.map(|(_, buckets)| buckets),
        survival.boot,
        survival.restart,
        survival.reload,
        survival.body,
    ])?;
    Ok(())
}

/// An event.
pub(super) fn event(connection: &Connection, event: &Event) -> Result<()> {
    let sql = "INSERT INTO events (boot, wall, mono, event, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
    let Event { at, event, detail } = event;
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![at.boot, at.wall, at.mono, event, detail])?;
    Ok(())
}

/// A line of the kernel log.
pub(super) fn log_line(connection: &Connection, line: &LogLine) -> Result<()> {
    let sql = "INSERT INTO log_lines (boot, wall, mono, text) VALUES (?1, ?2, ?3, ?4)";
    let LogLine { at, text } = line;
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![at.boot, at.wall, at.mono, text])?;
    Ok(())
}

/// A fix.
pub(super) fn fix(connection: &Connection, fix: &Fix) -> Result<()> {
    let sql = "INSERT INTO fixes (boot, wall, mono, action, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    let Fix { at, action, body } = fix;
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![at.boot, at.wall, at.mono, action, body])?;
    Ok(())
}

/// A gap.
pub(super) fn gap(connection: &Connection, gap: &Gap) -> Result<()> {
    let sql =
        "INSERT INTO gaps (boot, wall, mono, from_boot, from_wall, from_mono, why, lost, detail)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let Gap {
        from,
        at,
        why,
        lost,
        detail,
    } = gap;
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![
        at.boot, at.wall, at.mono, from.boot, from.wall, from.mono, why, lost, detail
    ])?;
    Ok(())
}

/// An incident, or what has become of it.
pub(super) fn incident(connection: &Connection, incident: &Incident) -> Result<()> {
    let sql = "INSERT INTO incidents (incident, boot, netns, wall, mono, last_wall, last_mono,
        closed_wall, closed_mono, closed_by, refused, drops, flows, entries, max, kind, confidence,
        culprit, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
        ON CONFLICT (incident) DO UPDATE SET last_wall = excluded.last_wall,
        last_mono = excluded.last_mono, closed_wall = excluded.closed_wall,
        closed_mono = excluded.closed_mono, closed_by = excluded.closed_by,
        refused = excluded.refused, drops = excluded.drops, flows = excluded.flows,
        entries = excluded.entries, max = excluded.max, kind = excluded.kind,
        confidence = excluded.confidence, culprit = excluded.culprit, body = excluded.body";
    let Incident { opened, last, .. } = incident;
    let closed = incident.closed.map(|(at, _)| at);
    connection.prepare_cached(sql)?.execute(params![
        incident.id,
        opened.boot,
        incident.netns,
        opened.wall,
        opened.mono,
        last.wall,
        last.mono,
        wall(closed),
        mono(closed),
        incident.closed.map(|(_, by)| by.as_str()),
        incident.refused,
        incident.drops,
        incident.flows,
        incident.entries,
        incident.max,
        incident.kind,
        incident.confidence,
        incident.culprit,
        incident.body,
    ])?;
    Ok(())
}

/// A census.
pub(super) fn census(connection: &Connection, census: &Census) -> Result<()> {
    let at = census.at;
    let sql = "INSERT INTO censuses (incident, boot, wall, mono, cause, entries, unreplied,
        established, idle, idle_unknown, error_bound)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    connection.prepare_cached(sql)?.execute(params![
        census.incident,
        at.boot,
        at.wall,
        at.mono,
        census.cause,
        census.entries,
        census.unreplied,
        census.established,
        census.idle,
        census.idle_unknown,
        census.error_bound,
    ])?;
    let number = connection.last_insert_rowid();
    let sql = "INSERT INTO census_rows (census, position, by, key, owner, entries, unreplied, idle)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let mut statement = connection.prepare_cached(sql)?;
    for (position, row) in (0_i64..).zip(&census.rows) {
        statement.execute(params![
            number,
            position,
            row.by,
            row.key,
            row.owner,
            row.entries,
            row.unreplied,
            row.idle,
        ])?;
    }
    Ok(())
}

/// What is known of a run by now.
pub(super) fn run(connection: &Connection, number: i64, run: &Run) -> Result<()> {
    let sql = "UPDATE runs SET backend = coalesce(?2, backend), start = coalesce(?3, start),
        losses = coalesce(?4, losses), ended_wall = coalesce(?5, ended_wall),
        ended_mono = coalesce(?6, ended_mono) WHERE run = ?1";
    connection.prepare_cached(sql)?.execute(params![
        number,
        run.backend,
        run.start,
        run.losses,
        wall(run.ended),
        mono(run.ended),
    ])?;
    Ok(())
}
