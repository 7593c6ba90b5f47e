//! A killed process leaves on the disk all records that it reported as written.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use tempfile::tempdir;

use super::super::queue::{Put, Queue};
use crate::subscribers::metrics::export::Counts;

/// How often it is killed.
const KILLS: usize = 20;

/// Where the process that is killed writes to.
const DIRECTORY: &str = "CTDROP_TEST_OTLP";

const BOUND: u64 = 4 << 20;

/// Puts records until it is killed, and reports each one.
#[test]
#[ignore = "run by the test below, which kills it"]
fn puts_until_it_is_killed() {
    let Some(directory) = env::var_os(DIRECTORY) else {
        return;
    };
    let mut queue = Queue::open(Path::new(&directory), BOUND, Arc::default()).unwrap();
    for number in 0_u64.. {
        queue.put(Put {
            body: format!("{} {number}", std::process::id()).into_bytes(),
            incident: 1,
            open: None,
        });
        println!("put {} {number}", std::process::id());
    }
}

#[test]
fn what_was_put_is_there_once() {
    let directory = tempdir().unwrap();
    let mut put = Vec::new();
    for kill in 0..KILLS {
        let name = "subscribers::otlp::tests::kills::puts_until_it_is_killed";
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen <= kill % 7 {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, what)) = line.split_once("put ") {
                put.push(what.to_owned());
                seen += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said in the meantime.
        let rest = lines.map_while(Result::ok);
        let rest = rest.filter_map(|line| Some(line.split_once("put ")?.1.to_owned()));
        put.extend(rest);
    }
    let counts = Arc::new(Counts::default());
    let mut queue = Queue::open(directory.path(), BOUND, counts).unwrap();
    let batch = queue.next(1 << 20, usize::MAX).unwrap();
    let found: Vec<String> = batch
        .records
        .into_iter()
        .map(|body| String::from_utf8(body).unwrap())
        .collect();
    let mut once = found.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), found.len(), "some are there twice");
    for what in &put {
        assert!(found.contains(what), "{what} is lost");
    }
    // It may have been killed before it could say so.
    assert!(
        found.len() <= put.len() + KILLS,
        "{} of {}",
        found.len(),
        put.len()
    );
}
