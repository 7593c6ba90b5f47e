//! What happens when evidence cannot be written.

use std::fs;

use super::{Stage, sums};
use crate::{
    store::{Store, incident::Census, keep::Bounds},
    subscribers::{recorder::Recorder, recording::What},
};

fn room(recorder: &Recorder, pages: Option<i64>) {
    let store = recorder.store.as_ref().unwrap();
    let connection = store.connection();
    let pages = pages.unwrap_or_else(|| {
        connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap()
    });
    let pragma = format!("PRAGMA max_page_count = {pages}");
    connection.query_row(&pragma, [], |_| Ok(())).unwrap();
}

#[test]
fn on_a_full_disk_it_goes_on_and_the_gap_is_told() {
    let mut stage = Stage::new(Bounds::default());
    stage.pass(1, 300);
    let said = stage.said();
    assert!(
        said.iter().all(|what| matches!(what, What::Opened(_))),
        "{said:?}"
    );
    room(&stage.recorder, None);
    for _ in 0..600 {
        stage.pass(1, 3000);
    }
    let said = stage.said();
    let failing = said.iter().filter(|what| matches!(what, What::Failing(_)));
    assert_eq!(failing.count(), 1, "it is said once: {said:?}");
    assert!(sums(&stage.read()).0 < 1_000_000);
    room(&stage.recorder, Some(1_000_000));
    stage.pass(1, 3000);
    let said = stage.said();
    assert!(
        said.iter()
            .any(|what| matches!(what, What::Resumed { lost: 0, .. })),
        "{said:?}"
    );
    let record = stage.read();
    assert_eq!(
        sums(&record),
        (300 + 601 * 3000, 602_000),
        "no packet is lost"
    );
    assert_eq!(record.gaps.len(), 1);
    let gap = &record.gaps[0];
    assert_eq!(gap.why, "not_written");
    assert!(gap.detail.as_ref().unwrap().contains("full"));
    assert_eq!(record.incidents[0].refused, 300 + 601 * 3000);
    assert!(record.intervals.len() < 200, "added up meanwhile");
}

#[test]
fn a_file_that_was_removed_is_begun_anew() {
    let mut stage = Stage::new(Bounds::default());
    stage.pass(1, 300);
    fs::remove_file(stage.path()).unwrap();
    stage.pass(1, 300);
    stage.pass(1, 300);
    let record = stage.read();
    assert_eq!(
        sums(&record).0,
        300,
        "what was pending refers to the old one"
    );
    assert_eq!(record.gaps.len(), 1);
    assert_eq!(record.incidents.len(), 1);
    assert!(
        stage
            .said()
            .iter()
            .any(|what| matches!(what, What::Records { .. }))
    );
}

#[test]
fn what_the_file_does_not_take_is_not_tried_for_ever() {
    let mut stage = Stage::new(Bounds::default());
    stage.pass(1, 300);
    // As if somebody had removed rows that others refer to.
    stage.recorder.pending.record.censuses.push(Census {
        incident: 99,
        ..Census::default()
    });
    for _ in 0..3 {
        stage.pass(1, 300);
    }
    let record = stage.read();
    assert_eq!(sums(&record).0, 900, "all but the one that was refused");
    assert_eq!(record.incidents.len(), 2);
    assert!(record.gaps.iter().any(|gap| gap.lost > 0));
}

#[test]
fn a_file_that_is_locked_is_an_error_before_anything_is_observed() {
    let stage = Stage::new(Bounds::default());
    let second = Recorder::prepare(stage.path(), Bounds::default());
    let error = second.map(drop).unwrap_err().to_string();
    assert!(error.starts_with("another ctdrop records to "), "{error}");
    let path = stage.path();
    drop(stage.recorder);
    Store::open(&path, Bounds::default(), &super::boot()).unwrap();
}
