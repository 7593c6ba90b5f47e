//! Thirty days, by a clock of their own.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{BEGIN, Stage};
use crate::store::{
    Reader,
    digest::{Asked, Digest},
    keep::Bounds,
};

const MIB: u64 = 1 << 20;

#[test]
fn thirty_days_fit_and_are_found() {
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

/// Everything that a report of all evidence asks for.
fn read_all(reader: &Reader) -> Digest {
    let wall = reader.extent().unwrap().unwrap();
    let asked = Asked {
        wall,
        netns: None,
        width: 86_400_000,
    };
    let digest = reader.digest(&asked, &mut |_| ()).unwrap();
    reader.happened(wall.0..=wall.1).unwrap();
    reader.runs(wall.0..=wall.1).unwrap();
    digest
}

#[test]
fn ninety_days_are_added_up_in_points_of_time_and_nothing_is_lost() {
    let mut stage = Stage::new(Bounds {
        age: Duration::from_hours(100 * 24),
        ..Bounds::default()
    });
    for _day in 0..90 {
        for _ in 0..20 {
            stage.pass(1, 3000);
        }
        for _ in 0..144 {
            stage.pass(600, 0);
        }
    }
    let reader = Reader::open(&stage.path()).unwrap();
    let digest = read_all(&reader);
    let refused: u64 = digest
        .points
        .iter()
        .flat_map(|it| it.refused.values())
        .sum();
    assert_eq!(refused, stage.refused);
    assert_eq!(digest.sums.refused, stage.refused);
    assert!(digest.points.len() <= 92, "{}", digest.points.len());
    assert_eq!(digest.flows.len(), 10);
}

/// For `cargo xtask bench daemon`: how long a report of a full store reads it.
#[test]
#[ignore = "takes minutes, and is meant for an optimised build"]
fn a_full_store_is_read() {
    let mut stage = Stage::new(Bounds::default());
    let mut minutes = 0;
    let file = |stage: &Stage| fs::metadata(stage.path()).map_or(0, |file| file.len());
    while file(&stage) < 200 * MIB && minutes < 20_000 {
        for _ in 0..60 {
            stage.pass(1, 3000);
        }
        minutes += 1;
    }
    let reader = Reader::open(&stage.path()).unwrap();
    let began = Instant::now();
    let digest = read_all(&reader);
    println!(
        "| {} MiB | {} | {:.2} s |",
        file(&stage) / MIB,
        digest.sums.intervals,
        began.elapsed().as_secs_f64()
    );
    assert_eq!(digest.sums.refused, stage.refused);
}
