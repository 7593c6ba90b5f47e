//! Thirty days, by a clock of their own.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{BEGIN, Stage};
use crate::store::{Reader, keep::Bounds};

const MIB: u64 = 1 << 20;

#[test]
fn thirty_days_fit_and_are_found_at_once() {
    let bounds = Bounds {
        bytes: 16 * MIB,
        ..Bounds::default()
    };
    let mut stage = Stage::new(bounds);
    let mut most = 0;
    for _day in 0..30 {
        // An incident of five minutes, and minutes of which each is one interval.
        for _ in 0..300 {
            stage.pass(1, 3000);
        }
        for _ in 0..1435 {
            stage.pass(60, 0);
        }
        let file = |end: &str| {
            let path = format!("{}{end}", stage.path().display());
            fs::metadata(path).map_or(0, |file| file.len())
        };
        most = most.max(file("") + file("-wal"));
    }
    assert!(most <= bounds.bytes, "{most}");
    let reader = Reader::open(&stage.path()).unwrap();
    let began = Instant::now();
    let incidents = reader.incidents().unwrap();
    assert_eq!(incidents.len(), 30);
    let refused: u64 = incidents.iter().map(|incident| incident.refused).sum();
    assert_eq!(refused, stage.refused);
    let last = &incidents[29];
    let record = reader
        .record(last.opened.wall - 60_000..=last.last.wall)
        .unwrap();
    assert_eq!(
        record
            .intervals
            .iter()
            .map(|interval| interval.refused)
            .sum::<u64>(),
        last.refused
    );
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    // The first incident is coarser by now, and as exact.
    let first = &incidents[0];
    assert_eq!(first.opened.wall / 1000, i64::try_from(BEGIN + 1).unwrap());
    let record = reader
        .record(first.opened.wall..=first.last.wall + 60_000)
        .unwrap();
    assert_eq!(
        record
            .intervals
            .iter()
            .map(|interval| interval.refused)
            .sum::<u64>(),
        first.refused
    );
    assert!(record.intervals.len() < 10, "{}", record.intervals.len());
}
