//! Size and age.

use std::time::{Duration, Instant};

use super::{Place, boot, host, moment, second, size};
use crate::store::{
    Reader, Store,
    connect::wal_of,
    incident::Incident,
    interval::Interval,
    keep::Bounds,
    record::{LogLine, Record},
};

const MIB: u64 = 1 << 20;

fn open(place: &Place, bytes: u64) -> Store {
    let bounds = Bounds {
        bytes,
        ..Bounds::default()
    };
    let store = Store::open(&place.path(), bounds, &boot("one"))
        .unwrap()
        .store;
    store.without_sync();
    store
}

fn taken(place: &Place) -> u64 {
    size(&place.path()) + size(&wal_of(&place.path()))
}

#[test]
fn the_file_with_its_log_stays_within_its_bound_and_incidents_outlive_the_rest() {
    let place = Place::new();
    let mut store = open(&place, 4 * MIB);
    let boot = store.begun().at.boot;
    let mut record = host(&store);
    record.incidents = vec![Incident {
        id: 1,
        netns: 1,
        opened: moment(boot, 0),
        last: moment(boot, 0),
        ..Incident::default()
    }];
    let mut most = 0;
    for minute in 0..300 {
        let seconds = minute * 60..(minute + 1) * 60;
        record.intervals = seconds.map(|at| second(moment(boot, at), 20)).collect();
        store.write(&record).unwrap();
        store.tend(moment(boot, minute * 60 + 59)).unwrap();
        record = Record::default();
        most = most.max(taken(&place));
    }
    assert!(most <= 4 * MIB, "{most}");
    assert!(most > 3 * MIB, "the room is used: {most}");
    let reader = Reader::open(&place.path()).unwrap();
    let read = reader.record(0..=i64::MAX).unwrap();
    assert_eq!(
        read.intervals.last().unwrap().at,
        moment(boot, 300 * 60 - 1)
    );
    assert!(read.intervals.len() > 500, "{}", read.intervals.len());
    assert_eq!(reader.incidents().unwrap().len(), 1);
    drop(store);
    // A lower bound holds from the next start on.
    let mut store = open(&place, 2 * MIB);
    store.tend(moment(boot, 300 * 60)).unwrap();
    store.write(&Record::default()).unwrap();
    drop((reader, store));
    assert!(taken(&place) <= 2 * MIB, "{}", taken(&place));
}

#[test]
fn bounds_can_change_while_it_is_written() {
    let place = Place::new();
    let mut store = open(&place, 8 * MIB);
    let boot = store.begun().at.boot;
    let mut record = host(&store);
    let mut minute = 0;
    while taken(&place) < 6 * MIB {
        let seconds = minute * 60..(minute + 1) * 60;
        record.intervals = seconds.map(|at| second(moment(boot, at), 20)).collect();
        store.write(&record).unwrap();
        store.tend(moment(boot, minute * 60 + 59)).unwrap();
        record = Record::default();
        minute += 1;
    }
    store.keep(Bounds {
        bytes: 4 * MIB,
        ..Bounds::default()
    });
    for _ in 0..3 {
        store.tend(moment(boot, minute * 60)).unwrap();
        store.write(&Record::default()).unwrap();
    }
    drop(store);
    assert!(taken(&place) <= 4 * MIB, "{}", taken(&place));
}

#[test]
fn a_reader_that_does_not_end_cannot_make_the_log_grow_for_ever() {
    let place = Place::new();
    let mut store = open(&place, 4 * MIB);
    let boot = store.begun().at.boot;
    store.write(&host(&store)).unwrap();
    let reader = rusqlite::Connection::open(place.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM boots").unwrap();
    let count = |connection: &rusqlite::Connection| -> i64 {
        connection
            .query_row("SELECT count(*) FROM intervals", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(&reader), 0);
    store.connection().busy_timeout(Duration::ZERO).unwrap();
    let mut written = 0;
    let error = loop {
        let record = Record {
            intervals: (0..10)
                .map(|at| second(moment(boot, written + at), 20))
                .collect(),
            ..Record::default()
        };
        match store.write(&record) {
            Ok(()) => written += 10,
            Err(error) => break error.to_string(),
        }
        assert!(taken(&place) <= 4 * MIB);
    };
    assert!(error.contains("and end it"), "{error}");
    drop(reader);
    store.write(&Record::default()).unwrap();
    assert_eq!(count(store.connection()), written, "nothing twice");
}

#[test]
fn intervals_become_coarser_with_age_and_no_packet_is_lost() {
    let place = Place::new();
    let mut store = open(&place, 64 * MIB);
    let boot = store.begun().at.boot;
    let mut record = host(&store);
    record.intervals = (1..=3600).map(|at| second(moment(boot, at), 2)).collect();
    store.write(&record).unwrap();
    let lengths = |store: &mut Store, days: i64| {
        store.tend(moment(boot, days * 86_400 + 7200)).unwrap();
        let read = Reader::open(&place.path()).unwrap();
        let intervals = read.record(0..=i64::MAX).unwrap().intervals;
        let sum = |of: fn(&Interval) -> u64| intervals.iter().map(of).sum::<u64>();
        assert_eq!(sum(|interval| interval.refused), 36_000);
        assert_eq!(sum(|interval| interval.length), 3_600_000);
        assert_eq!(sum(|interval| interval.drops.values().sum()), 36_000);
        assert_eq!(sum(|interval| interval.flows[0].packets), 18_000);
        assert_eq!(sum(Interval::rest), 0);
        intervals.len()
    };
    assert_eq!(lengths(&mut store, 0), 3600);
    assert_eq!(lengths(&mut store, 1), 360);
    assert_eq!(lengths(&mut store, 8), 60);
    assert_eq!(lengths(&mut store, 31), 6);
    // Then they go.
    store.tend(moment(boot, 91 * 86_400 + 7200)).unwrap();
    let read = Reader::open(&place.path())
        .unwrap()
        .record(0..=i64::MAX)
        .unwrap();
    assert_eq!(read.intervals, []);
}

#[test]
fn a_step_of_the_clock_neither_empties_nor_reorders() {
    let place = Place::new();
    let mut store = open(&place, 64 * MIB);
    let boot = store.begun().at.boot;
    let mut record = host(&store);
    record.intervals = (0..200)
        .map(|hour| second(moment(boot, hour * 3600), 1))
        .collect();
    // It was set back by a year for an hour.
    let mut back = second(moment(boot, 200 * 3600), 1);
    back.at.wall -= 365 * 86_400_000;
    record.intervals.push(back);
    record.log_lines = vec![LogLine {
        at: moment(boot, 0),
        text: "nf_conntrack: table full".to_owned(),
    }];
    store.write(&record).unwrap();
    // And then forward by ten years.
    let mut now = moment(boot, 201 * 3600);
    now.wall += 3650 * 86_400_000;
    store.tend(now).unwrap();
    let read = Reader::open(&place.path())
        .unwrap()
        .record(0..=i64::MAX)
        .unwrap();
    assert!(
        read.intervals.len() >= 25,
        "a day at most: {}",
        read.intervals.len()
    );
    assert!(
        read.intervals
            .is_sorted_by_key(|interval| interval.at.order())
    );
    let refused: u64 = read.intervals.iter().map(|interval| interval.refused).sum();
    assert!(refused >= 170 * 5, "{refused}");
}

#[test]
fn a_range_is_found_by_an_index() {
    let place = Place::new();
    let mut store = open(&place, 64 * MIB);
    let boot = store.begun().at.boot;
    let mut record = host(&store);
    record.intervals = (0..20_000).map(|at| second(moment(boot, at), 3)).collect();
    store.write(&record).unwrap();
    let reader = Reader::open(&place.path()).unwrap();
    let began = Instant::now();
    let from = moment(boot, 10_000).wall;
    let read = reader.record(from..=from + 59_000).unwrap();
    assert_eq!(read.intervals.len(), 60);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    for table in [
        "intervals",
        "limits",
        "events",
        "log_lines",
        "fixes",
        "censuses",
    ] {
        let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE wall BETWEEN 1 AND 2");
        let plan: String = store
            .connection()
            .query_row(&sql, [], |row| row.get(3))
            .unwrap();
        assert!(plan.contains(&format!("INDEX {table}_wall")), "{plan}");
    }
}
