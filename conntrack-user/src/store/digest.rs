//! A time in all: sums over points of time and over flows, in bounded memory however
//! long it is. All sums are exact; only the times of points are rounded.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use rusqlite::{Connection, Params, Result, Row, params};

use crate::store::interval::{EVICTED, FlowKey};

/// Flows are added up over so many intervals, those with the most refused packets.
pub const INTERVALS: i64 = 10_000;

/// How many flows are kept in the end.
const FLOWS: usize = 10_000;

/// The reason of packets that the backend counts by namespace alone.
pub const NOT_TOLD: &str = "not_told";

/// How many rows are read before it is said how far that is.
const STEP: u64 = 20_000;

/// Which time, and what of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its begin and end, in milliseconds by the clock of the host.
    pub wall: (i64, i64),
    /// The only namespace that is asked for; else all.
    pub netns: Option<i64>,
    /// The length of a point of time in milliseconds.
    pub width: i64,
}

/// A time in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Points of time in order, without those of which there is no evidence.
    pub points: Vec<Point>,
    /// The namespace whose entries the points have.
    pub table: Option<i64>,
    /// Sums over all of it.
    pub sums: Sums,
    /// Packets refused, by namespace.
    pub by_netns: BTreeMap<i64, u64>,
    /// The flows with the most packets, most first.
    pub flows: Vec<FlowSum>,
    /// Whether there are intervals over which flows were not added up.
    pub flows_in_part: bool,
}

/// What was counted within some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Its begin, in milliseconds by the clock of the host.
    pub wall: i64,
    /// Packets refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Entries removed to make room.
    pub evicted: u64,
    /// The most entries of the table.
    pub entries: Option<u64>,
    /// The limit at the end; 0 is none.
    pub max: Option<u64>,
}

/// Sums of intervals, over all namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many intervals.
    pub intervals: u64,
    /// How long they are together, in milliseconds.
    pub covered: u64,
    /// How long programs were not attached, in milliseconds.
    pub unarmed: u64,
    /// Packets refused.
    pub refused: u64,
    /// Bounds of that, where only counters tell.
    pub range: Option<(u64, u64)>,
    /// Packets without a flow of their own.
    pub unattributed: u64,
    /// Flows refused for the first time in their run.
    pub new_flows: u64,
    /// Entries refused that no packet wanted.
    pub non_packet: u64,
    /// Packets that a rule dropped or conntrack refused.
    pub rule_or_refused: u64,
    /// Clashes without a loss.
    pub clash_resolved: u64,
}

/// A flow and its packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowSum {
    /// Which one.
    pub key: FlowKey,
    /// Its packets in the intervals whose rows have it.
    pub packets: u64,
    /// The end of the first of these.
    pub first: i64,
    /// The end of the last one.
    pub last: i64,
}

/// How far the reading is.
struct Progress<'a> {
    rows: u64,
    wall: (i64, i64),
    /// Which of how many passes this is.
    pass: u32,
    done: &'a mut dyn FnMut(f64),
}

const PASSES: f64 = 4.0;

impl Progress<'_> {
    #[expect(clippy::cast_precision_loss, reason = "shown in per cent")]
    fn at(&mut self, wall: i64) {
        self.rows += 1;
        if self.rows.is_multiple_of(STEP) {
            let (from, to) = self.wall;
            let part = (wall - from) as f64 / (to - from).max(1) as f64;
            (self.done)((f64::from(self.pass) + part.clamp(0.0, 1.0)) / PASSES);
        }
    }
}

/// Adds a time up.
pub(super) fn digest(
    connection: &Connection,
    asked: &Asked,
    done: &mut dyn FnMut(f64),
) -> Result<Digest> {
    let mut progress = Progress {
        rows: 0,
        wall: asked.wall,
        pass: 0,
        done,
    };
    let mut digest = Digest::default();
    let mut points = BTreeMap::new();
    intervals(connection, asked, &mut points, &mut digest, &mut progress)?;
    progress.pass = 1;
    drops(connection, asked, &mut points, &mut digest, &mut progress)?;
    progress.pass = 2;
    digest.table = match asked.netns {
        Some(netns) => Some(netns),
        None => fullest(connection, &digest, asked)?,
    };
    if let Some(table) = digest.table {
        tables(connection, asked, table, &mut points, &mut progress)?;
    }
    progress.pass = 3;
    flows(connection, asked, &mut digest, &mut progress)?;
    digest.points = points.into_values().collect();
    Ok(digest)
}

/// The point of time that a moment is in.
fn point(points: &mut BTreeMap<i64, Point>, width: i64, wall: i64) -> &mut Point {
    let begin = wall.div_euclid(width.max(1)) * width.max(1);
    points.entry(begin).or_insert_with(|| Point {
        wall: begin,
        ..Point::default()
    })
}

fn each(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut of: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        of(row)?;
    }
    Ok(())
}

fn intervals(
    connection: &Connection,
    asked: &Asked,
    points: &mut BTreeMap<i64, Point>,
    digest: &mut Digest,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let sql = "SELECT wall, length, armed, refused, at_least, at_most, unattributed, new_flows,
        non_packet, rule_or_refused, clash_resolved, evicted, max FROM intervals
        WHERE wall BETWEEN ?1 AND ?2 ORDER BY wall, interval";
    let (from, to) = asked.wall;
    let sums = &mut digest.sums;
    each(connection, sql, [from, to], |row| {
        let wall: i64 = row.get(0)?;
        progress.at(wall);
        let length: u64 = row.get(1)?;
        // The first interval may have begun before this time.
        let length = length.min(wall.saturating_sub(from).unsigned_abs());
        sums.intervals += 1;
        sums.covered += length;
        if !row.get::<_, bool>(2)? {
            sums.unarmed += length;
        }
        let refused: u64 = row.get(3)?;
        sums.refused += refused;
        let range: Option<u64> = row.get(4)?;
        let range = range.zip(row.get(5)?);
        // Where nothing is open, the number itself is both bounds.
        if range.is_some() || sums.range.is_some() {
            let before = sums.refused - refused;
            let (least, most) = sums.range.unwrap_or((before, before));
            let (more_least, more_most) = range.unwrap_or((refused, refused));
            sums.range = Some((least + more_least, most + more_most));
        }
        sums.unattributed += row.get::<_, u64>(6)?;
        sums.new_flows += row.get::<_, u64>(7)?;
        sums.non_packet += row.get::<_, u64>(8)?;
        sums.rule_or_refused += row.get::<_, u64>(9)?;
        sums.clash_resolved += row.get::<_, u64>(10)?;
        let point = point(points, asked.width, wall);
        if asked.netns.is_none() {
            point.evicted += row.get::<_, u64>(11)?;
        }
        point.max = row.get::<_, Option<u64>>(12)?.or(point.max);
        Ok(())
    })
}

fn drops(
    connection: &Connection,
    asked: &Asked,
    points: &mut BTreeMap<i64, Point>,
    digest: &mut Digest,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let sql = "SELECT wall, netns, reason, packets FROM intervals JOIN drops USING (interval)
        WHERE wall BETWEEN ?1 AND ?2 AND (?3 IS NULL OR netns = ?3)";
    let (from, to) = asked.wall;
    each(connection, sql, params![from, to, asked.netns], |row| {
        let wall: i64 = row.get(0)?;
        progress.at(wall);
        let packets: u64 = row.get(3)?;
        *digest.by_netns.entry(row.get(1)?).or_default() += packets;
        let refused = &mut point(points, asked.width, wall).refused;
        *refused.entry(row.get(2)?).or_default() += packets;
        Ok(())
    })
}

/// The namespace with the most refused packets that has a table; where nothing was
/// refused, the one with the most entries at the end.
fn fullest(connection: &Connection, digest: &Digest, asked: &Asked) -> Result<Option<i64>> {
    let mut worst: Vec<(i64, u64)> = digest.by_netns.clone().into_iter().collect();
    worst.sort_by_key(|&(_, packets)| Reverse(packets));
    let mut known =
        connection.prepare_cached("SELECT 1 FROM namespaces WHERE netns = ?1 AND inode > 0")?;
    for (netns, _) in worst {
        if known.exists([netns])? {
            return Ok(Some(netns));
        }
    }
    let sql = "SELECT netns FROM tables WHERE interval =
        (SELECT interval FROM intervals WHERE wall BETWEEN ?1 AND ?2 ORDER BY wall DESC LIMIT 1)
        ORDER BY most DESC, netns LIMIT 1";
    let (from, to) = asked.wall;
    let mut found = None;
    each(connection, sql, [from, to], |row| {
        found = Some(row.get(0)?);
        Ok(())
    })?;
    Ok(found)
}

/// What is known of one table, and what is counted by namespace alone.
fn tables(
    connection: &Connection,
    asked: &Asked,
    table: i64,
    points: &mut BTreeMap<i64, Point>,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let sql = "SELECT wall, most, tables.refused, tables.evicted FROM intervals
        JOIN tables ON tables.interval = intervals.interval AND netns = ?3
        WHERE wall BETWEEN ?1 AND ?2";
    let (from, to) = asked.wall;
    let mut counted: BTreeMap<i64, u64> = BTreeMap::new();
    each(connection, sql, [from, to, table], |row| {
        let wall: i64 = row.get(0)?;
        progress.at(wall);
        let point = point(points, asked.width, wall);
        point.entries = point.entries.max(row.get(1)?);
        if asked.netns.is_some() {
            *counted.entry(point.wall).or_default() += row.get::<_, u64>(2)?;
            point.evicted += row.get::<_, u64>(3)?;
        }
        Ok(())
    })?;
    if asked.netns.is_some() {
        evicted_somewhere(connection, asked, points)?;
    }
    for (wall, counted) in counted {
        let refused = &mut point(points, asked.width, wall).refused;
        let told: u64 = refused.values().sum();
        if counted > told {
            refused.insert(NOT_TOLD.to_owned(), counted - told);
        }
    }
    Ok(())
}

/// Adds the evictions whose namespace is not known: they may be of the one that is asked
/// for.
fn evicted_somewhere(
    connection: &Connection,
    asked: &Asked,
    points: &mut BTreeMap<i64, Point>,
) -> Result<()> {
    let sql = "SELECT wall, tables.evicted FROM intervals JOIN tables USING (interval)
        WHERE wall BETWEEN ?1 AND ?2 AND tables.evicted > 0
        AND netns IN (SELECT netns FROM namespaces WHERE inode = 0)";
    let (from, to) = asked.wall;
    each(connection, sql, [from, to], |row| {
        let wall: i64 = row.get(0)?;
        point(points, asked.width, wall).evicted += row.get::<_, u64>(1)?;
        Ok(())
    })
}

fn flows(
    connection: &Connection,
    asked: &Asked,
    digest: &mut Digest,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let (from, to) = asked.wall;
    let sql = "SELECT count(*) FROM intervals WHERE wall BETWEEN ?1 AND ?2 AND refused > 0";
    let eventful: i64 = connection.query_row(sql, [from, to], |row| row.get(0))?;
    digest.flows_in_part = eventful > INTERVALS;
    let sql = "SELECT worst.wall, netns, reason, zone, protocol, src, sport, dst, dport, sender,
        packets FROM (SELECT interval, wall FROM intervals
        WHERE wall BETWEEN ?1 AND ?2 AND refused > 0 ORDER BY refused DESC LIMIT ?4) AS worst
        JOIN flows USING (interval) WHERE ?3 IS NULL OR netns = ?3";
    let mut sums: HashMap<FlowKey, FlowSum> = HashMap::new();
    each(
        connection,
        sql,
        params![from, to, asked.netns, INTERVALS],
        |row| {
            let wall: i64 = row.get(0)?;
            progress.at(wall);
            let key = key(row)?;
            if key.reason == EVICTED {
                return Ok(());
            }
            let sum = sums.entry(key).or_insert_with(|| FlowSum {
                first: wall,
                last: wall,
                ..FlowSum::default()
            });
            sum.packets += row.get::<_, u64>(10)?;
            sum.first = sum.first.min(wall);
            sum.last = sum.last.max(wall);
            Ok(())
        },
    )?;
    let mut flows: Vec<FlowSum> = sums
        .into_iter()
        .map(|(key, sum)| FlowSum { key, ..sum })
        .collect();
    flows.sort_by(|one, other| {
        let order = other.packets.cmp(&one.packets);
        order.then_with(|| one.key.cmp(&other.key))
    });
    flows.truncate(FLOWS);
    digest.flows = flows;
    Ok(())
}

fn key(row: &Row<'_>) -> Result<FlowKey> {
    Ok(FlowKey {
        netns: row.get(1)?,
        reason: row.get(2)?,
        zone: row.get(3)?,
        protocol: row.get(4)?,
        src: row.get(5)?,
        sport: row.get(6)?,
        dst: row.get(7)?,
        dport: row.get(8)?,
        sender: row.get(9)?,
    })
}
