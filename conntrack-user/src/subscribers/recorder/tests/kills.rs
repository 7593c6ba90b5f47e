//! A process that is killed while it writes leaves a whole file, without its last interval
//! at most, and the gap is shown.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rusqlite::Connection;
use tempfile::tempdir;

use super::{boot, leak, report};
use crate::{
    engine::update::Update,
    store::{Reader, Store, keep::Bounds, record::Boot},
    subscribers::{
        Subscriber as _,
        recorder::{Recorder, looker::Looker},
    },
};

/// How often it is killed.
const KILLS: u64 = 100;

/// Where the process that is killed writes to.
const FILE: &str = "CTDROP_TEST_RECORD";

/// Writes until it is killed, and says each second that was written.
#[test]
#[ignore = "run by the test below, which kills it"]
fn writes_until_it_is_killed() {
    let Some(file) = env::var_os(FILE) else {
        return;
    };
    let bounds = Bounds::default();
    let store = Store::open(Path::new(&file), bounds, &boot())
        .unwrap()
        .store;
    let begin = u64::try_from(store.begun().at.mono).unwrap() / 1000 + 1;
    let (mut recorder, _news) = Recorder::over(store, bounds, boot(), Looker::by(|_| Ok(leak())));
    for second in begin.. {
        let report = report(second, Duration::from_secs(1), 300);
        recorder
            .update(&Update::Interval(Box::new(report)))
            .unwrap();
        println!("wrote {second}");
    }
}

fn start(file: &Path) -> Child {
    let name = "subscribers::recorder::tests::kills::writes_until_it_is_killed";
    let arguments = ["--exact", name, "--ignored", "--nocapture"];
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(arguments)
        .env(FILE, file)
        .stdout(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn a_hundred_kills_lose_an_interval_each_at_most() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("ctdrop.db");
    let mut told = Vec::new();
    for kill in 0..KILLS {
        let mut child = start(&file);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut written = 0;
        // Killed in the midst of whatever it does.
        while written < 1 + kill % 7 {
            let line = lines.next().unwrap().unwrap();
            written += u64::from(line.contains("wrote "));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let rest = lines
            .map_while(Result::ok)
            .filter(|line| line.contains("wrote "));
        written += u64::try_from(rest.count()).unwrap();
        told.push(written);
    }
    let check = Connection::open(&file).unwrap();
    let check: String = check
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    // The run after the last kill shows its gap, too.
    drop(Store::open(&file, Bounds::default(), &Boot { ..boot() }).unwrap());
    let record = Reader::open(&file).unwrap().record(0..=i64::MAX).unwrap();
    let intervals = u64::try_from(record.intervals.len()).unwrap();
    let said: u64 = told.iter().sum();
    assert!(
        intervals >= said,
        "{intervals} of {said}: one that was said is missing"
    );
    assert!(
        intervals <= said + KILLS,
        "written, but not said: one of each run at most"
    );
    assert_eq!(record.gaps.len(), usize::try_from(KILLS).unwrap());
    assert!(record.gaps.iter().all(|gap| gap.why == "killed"));
    assert!(fs::metadata(&file).unwrap().len() > 0);
}
