//! The queue keeps to its maximum size, and counts what it drops.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt as _, path::Path, sync::Arc};

use tempfile::tempdir;

use super::super::queue::{Earlier, FILE, Put, Queue};
use crate::subscribers::metrics::export::Counts;

const BOUND: u64 = 4 << 20;

fn put(number: i64, bytes: usize) -> Put {
    let mut body = vec![b'x'; bytes];
    body[..8].copy_from_slice(&number.to_le_bytes());
    Put {
        body,
        incident: number % 64,
        open: (number % 3 != 0).then(|| "uid".to_owned()),
    }
}

fn number(body: &[u8]) -> i64 {
    i64::from_le_bytes(body[..8].try_into().unwrap())
}

fn bytes(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap();
    let sizes = files.map(|file| file.unwrap().metadata().unwrap().len());
    sizes.sum()
}

/// Takes all that waits.
fn drain(queue: &mut Queue) -> Vec<i64> {
    let mut numbers = Vec::new();
    loop {
        let batch = queue.next(50, 1 << 20).unwrap();
        if batch.records.is_empty() {
            return numbers;
        }
        numbers.extend(batch.records.iter().map(|body| number(body)));
        queue.remove(&batch).unwrap();
    }
}

#[test]
fn the_oldest_make_room_and_are_counted() {
    for size in [3000, 30_000] {
        let directory = tempdir().unwrap();
        let counts = Arc::new(Counts::default());
        let mut queue = Queue::open(directory.path(), BOUND, Arc::clone(&counts)).unwrap();
        let all = i64::try_from(2 * BOUND / size as u64).unwrap();
        let mut most = 0;
        for number in 0..all {
            queue.put(put(number, size));
            if number % 50 == 0 {
                most = most.max(bytes(directory.path()));
            }
        }
        // Beside it, SQLite keeps an index of the write-ahead log.
        let shm = 64 << 10;
        assert!(
            most <= BOUND + shm && most > BOUND / 2,
            "{size}: {most} bytes"
        );
        let now = counts.now();
        assert_eq!(
            now.dropped.queue_full + now.queued,
            all.unsigned_abs(),
            "{size}"
        );
        assert!(
            now.dropped.queue_full > 0 && now.queued > 50,
            "{size}: {now:?}"
        );
        assert_eq!(now.dropped.unwritable, 0);
        let left = drain(&mut queue);
        let newest: Vec<i64> = (all - i64::try_from(now.queued).unwrap()..all).collect();
        assert_eq!(left, newest, "{size}");
    }
}

#[test]
fn what_is_being_sent_makes_no_room() {
    let directory = tempdir().unwrap();
    let counts = Arc::new(Counts::default());
    let mut queue = Queue::open(directory.path(), BOUND, Arc::clone(&counts)).unwrap();
    for number in 0..10 {
        queue.put(put(number, 4000));
    }
    let batch = queue.next(10, 1 << 20).unwrap();
    for number in 10..1500 {
        queue.put(put(number, 4000));
    }
    queue.remove(&batch).unwrap();
    let now = counts.now();
    assert_eq!(10 + now.queued + now.dropped.queue_full, 1500);
    let left: BTreeSet<i64> = drain(&mut queue).into_iter().collect();
    assert_eq!(left.len() as u64, now.queued);
    assert!(left.iter().all(|&number| number >= 10));
}

#[test]
fn a_damaged_queue_is_set_aside() {
    let directory = tempdir().unwrap();
    let file = directory.path().join(FILE);
    fs::write(&file, "no database at all, however long one waits").unwrap();
    let counts = Arc::new(Counts::default());
    let mut queue = Queue::open(directory.path(), BOUND, counts).unwrap();
    queue.put(put(1, 100));
    assert_eq!(drain(&mut queue), [1]);
    assert!(directory.path().join("otlp.db.damaged").exists());
}

#[test]
fn only_its_owner_can_read_the_queue() {
    let directory = tempdir().unwrap();
    let mut queue = Queue::open(directory.path(), BOUND, Arc::default()).unwrap();
    queue.put(put(1, 100));
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
}

#[test]
fn of_many_runs_the_last_metrics_of_the_latest_are_kept() {
    let directory = tempdir().unwrap();
    let mut queue = Queue::open(directory.path(), BOUND, Arc::default()).unwrap();
    let mut lost = 0;
    for run in 0..20 {
        for body in [b"old", b"new"] {
            let earlier = Earlier {
                run: format!("run {run}"),
                points: 10,
                body: body.to_vec(),
            };
            lost += queue.keep_metrics(&earlier, run).unwrap();
        }
    }
    assert_eq!(lost, 12 * 10);
    let oldest = queue.earlier_metrics("run 19").unwrap().unwrap();
    assert_eq!(
        (oldest.run.as_str(), oldest.body.as_slice()),
        ("run 12", &b"new"[..])
    );
    queue.forget_metrics("run 12").unwrap();
    let next = queue.earlier_metrics("run 19").unwrap().unwrap();
    assert_eq!(next.run, "run 13");
}
