//! Files that are damaged, foreign, newer, locked, full or gone.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use rusqlite::Connection;

use super::{Place, boot, host, moment, second};
use crate::store::{
    Reader, Store,
    failure::Failure,
    incident::{ClosedBy, Incident},
    keep::Bounds,
    moment::Moment,
    record::{Record, Run},
    writer_lock,
};

fn recorded(place: &Place) {
    let mut store = place.store();
    let mut record = host(&store);
    let boot = store.begun().at.boot;
    record.intervals = (0..2000).map(|at| second(moment(boot, at), 3)).collect();
    store.write(&record).unwrap();
}

#[test]
fn only_its_owner_can_read_it() {
    let place = Place::new();
    recorded(&place);
    let mode = fs::metadata(place.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_damaged_file_is_set_aside_and_named() {
    let place = Place::new();
    recorded(&place);
    let mut content = fs::read(place.path()).unwrap();
    let middle = content.len() / 2;
    content[middle..middle + 20_000].fill(0xa5);
    fs::write(place.path(), &content).unwrap();
    let opened = place.open();
    let aside = opened.set_aside.unwrap();
    assert!(
        aside.display().to_string().contains("ctdrop.db.damaged-2"),
        "{aside:?}"
    );
    assert!(
        fs::read(&aside).unwrap() == content,
        "nothing of it is lost"
    );
    assert_eq!(opened.store.begun().run, 1, "a new file");
}

#[test]
fn a_file_of_another_program_is_set_aside_as_it_is() {
    let database = |path: &Path| {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("CREATE TABLE notes (text)")
            .unwrap();
    };
    let text = |path: &Path| fs::write(path, "dear diary, ".repeat(1000)).unwrap();
    let later = |path: &Path| {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("PRAGMA user_version = 1; CREATE TABLE a (b)")
            .unwrap();
    };
    for make in [database as fn(&Path), text, later] {
        let place = Place::new();
        make(&place.path());
        let content = fs::read(place.path()).unwrap();
        let aside = place.open().set_aside.unwrap();
        assert!(
            aside.display().to_string().contains("ctdrop.db.foreign-2"),
            "{aside:?}"
        );
        assert!(fs::read(&aside).unwrap() == content);
    }
}

#[test]
fn an_empty_file_is_filled() {
    let place = Place::new();
    fs::write(place.path(), "").unwrap();
    assert_eq!(place.open().set_aside, None);
    assert_eq!(place.open().store.begun().run, 2);
}

#[test]
fn a_newer_file_is_an_error_and_stays() {
    let place = Place::new();
    recorded(&place);
    let connection = Connection::open(place.path()).unwrap();
    connection
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    drop(connection);
    let error = place.try_open().unwrap_err().to_string();
    assert!(
        error.contains("version 99") && error.contains("update ctdrop"),
        "{error}"
    );
    let error = Reader::open(&place.path()).unwrap_err().to_string();
    assert!(error.contains("version 99"), "{error}");
    assert_eq!(place.names(), ["ctdrop.db"]);
}

#[test]
fn two_do_not_write_to_the_same_file() {
    let place = Place::new();
    let first = place.open();
    let error = place.try_open().unwrap_err().to_string();
    assert!(error.starts_with("another ctdrop records to "), "{error}");
    drop(first);
    place.open();
}

#[test]
fn a_pipe_is_refused_before_it_is_opened() {
    let place = Place::new();
    let path = place.path();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
    let refused = |failure: Failure| assert!(matches!(failure, Failure::NoFile(_)), "{failure}");
    refused(Reader::open(&path).unwrap_err());
    refused(place.try_open().unwrap_err());
}

#[test]
fn a_file_that_another_program_keeps_locked_is_an_error() {
    let place = Place::new();
    recorded(&place);
    let other = Connection::open(place.path()).unwrap();
    other
        .execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE")
        .unwrap();
    let error = place.try_open().unwrap_err().to_string();
    assert!(error.contains("another program keeps it locked"), "{error}");
    assert_eq!(place.names().len(), 1, "nothing is set aside");
}

#[test]
fn what_cannot_be_written_can_be_written_later() {
    let place = Place::new();
    let mut store = place.store();
    let boot = store.begun().at.boot;
    store.write(&host(&store)).unwrap();
    let pages: i64 = store
        .connection()
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    let bound = |store: &Store, pages: i64| {
        let pragma = format!("PRAGMA max_page_count = {pages}");
        store
            .connection()
            .query_row(&pragma, [], |_| Ok(()))
            .unwrap();
    };
    bound(&store, pages);
    let record = Record {
        intervals: (0..100).map(|at| second(moment(boot, at), 20)).collect(),
        ..Record::default()
    };
    let error = store.write(&record).unwrap_err().to_string();
    assert!(
        error.contains("full") && error.contains("free space"),
        "{error}"
    );
    bound(&store, 1_000_000);
    store.write(&record).unwrap();
    let read = Reader::open(&place.path())
        .unwrap()
        .record(0..=i64::MAX)
        .unwrap();
    assert_eq!(read.intervals.len(), 100, "all of it once");
}

#[test]
fn a_directory_without_leave_to_write_is_an_error_that_says_so() {
    let place = Place::new();
    let path = Path::new("/proc/ctdrop.db");
    let error = Store::open(path, Bounds::default(), &boot("one"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot lock /proc/ctdrop.db.lock: "),
        "{error}"
    );
    let error = Reader::open(&place.path()).unwrap_err().to_string();
    assert!(error.contains("there is no evidence in "), "{error}");
    fs::write(
        place.path(),
        "no database, but long enough to be one".repeat(99),
    )
    .unwrap();
    let error = Reader::open(&place.path()).unwrap_err();
    assert!(matches!(error, Failure::NotEvidence(_)), "{error}");
    assert_eq!(place.names(), ["ctdrop.db"], "a reader moves nothing");
}

#[test]
fn a_file_that_was_removed_is_noticed() {
    let place = Place::new();
    let store = place.store();
    assert!(!store.is_gone());
    fs::remove_file(place.path()).unwrap();
    assert!(store.is_gone());
    fs::write(place.path(), "").unwrap();
    assert!(store.is_gone(), "it is another one");
}

fn with_incident(place: &Place, boot_id: &str, ended: bool) {
    let mut store = Store::open(&place.path(), Bounds::default(), &boot(boot_id))
        .unwrap()
        .store;
    let at = store.begun().at;
    let mut record = host(&store);
    let last = Moment {
        wall: at.wall + 1000,
        mono: at.mono + 1000,
        ..at
    };
    record.intervals = vec![second(last, 1)];
    record.incidents = vec![Incident {
        id: store.begun().next_incident,
        netns: 1,
        opened: at,
        last,
        ..Incident::default()
    }];
    record.run = ended.then(|| Run {
        ended: Some(last),
        ..Run::default()
    });
    store.write(&record).unwrap();
}

#[test]
fn what_a_run_leaves_open_the_next_one_closes_and_the_gap_is_shown() {
    for (next, ended, why) in [
        ("one", true, ClosedBy::Stopped),
        ("one", false, ClosedBy::Killed),
        ("two", false, ClosedBy::Reboot),
    ] {
        let place = Place::new();
        with_incident(&place, "one", ended);
        let store = Store::open(&place.path(), Bounds::default(), &boot(next))
            .unwrap()
            .store;
        let gap = store.begun().gap.clone().unwrap();
        assert_eq!(gap.why, why.as_str());
        let reader = Reader::open(&place.path()).unwrap();
        let incident = reader.incident(1).unwrap().unwrap();
        assert_eq!(incident.closed, Some((incident.last, why)));
        assert_eq!(
            gap.from, incident.last,
            "from the last moment that is known"
        );
        let read = reader.record(0..=i64::MAX).unwrap();
        assert_eq!(read.gaps, [gap]);
        assert_eq!(store.begun().next_incident, 2);
    }
}

#[test]
fn what_a_run_leaves_open_is_not_shown_as_open_once_nobody_writes() {
    let now = crate::kernel::release::boot_id().unwrap();
    for (boot_id, why) in [(&*now, ClosedBy::Killed), ("before", ClosedBy::Reboot)] {
        let place = Place::new();
        with_incident(&place, boot_id, false);
        let reader = Reader::open(&place.path()).unwrap();
        let incident = reader.last_incident().unwrap().unwrap();
        assert_eq!(incident.closed, Some((incident.last, why)));
    }
}

#[test]
fn what_is_open_is_open_as_long_as_its_writer_lives_and_in_a_copy() {
    let place = Place::new();
    with_incident(&place, "one", false);
    let copy = place.path().with_file_name("copy.db");
    fs::copy(place.path(), &copy).unwrap();
    let open = |path: &Path| {
        Reader::open(path).unwrap().incidents().unwrap()[0]
            .closed
            .is_none()
    };
    assert!(open(&copy));
    assert!(!open(&place.path()));
    let _writes = writer_lock::take(&place.path()).unwrap();
    assert!(open(&place.path()));
}
