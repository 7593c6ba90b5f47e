//! `ctdrop status --watch` and `--netns`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::MetadataExt as _,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::status;

/// `ctdrop status --watch`, which is killed if it does not end.
struct Watching(Child);

impl Watching {
    fn start(more: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_ctdrop"))
            .args(["status", "--watch", "1s", "--interval", "100ms"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Ends it as Ctrl-C does: its exit code.
    fn interrupt(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn each_look_is_a_line_of_json_and_the_last_one_decides_the_exit_code() {
    let mut watching = Watching::start(&["-o", "json"]);
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    let mut look = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let (first, second) = (look(), look());
    assert_eq!(first["type"], "status");
    assert_ne!(first["time"], second["time"]);
    let code = match second["state"].as_str().unwrap() {
        "ok" => 0,
        "warning" => 1,
        "critical" => 2,
        _ => 3,
    };
    assert_eq!(watching.interrupt(), Some(code));
}

#[test]
fn in_a_pipe_the_looks_are_blocks_that_begin_with_the_time() {
    let mut watching = Watching::start(&["--utc"]);
    let mut out = BufReader::new(watching.0.stdout.take().unwrap());
    let mut text = String::new();
    let is_time = |line: &str| line.starts_with("20") && line.ends_with(" +00:00");
    while text.lines().filter(|line| is_time(line)).count() < 2 {
        assert_ne!(out.read_line(&mut text).unwrap(), 0, "{text}");
    }
    watching.interrupt();
    out.read_to_string(&mut text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(is_time(lines[0]), "{text}");
    let second = 1 + lines[1..].iter().position(|line| is_time(line)).unwrap();
    assert_eq!(lines[second - 1], "", "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_namespace_that_goes_ends_it_and_is_named() {
    let mut sleeping = Command::new("sleep").arg("60").spawn().unwrap();
    let inside = format!("pid:{}", sleeping.id());
    let mut watching = Watching::start(&["--netns", &inside, "-o", "json"]);
    let mut out = BufReader::new(watching.0.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    sleeping.kill().unwrap();
    sleeping.wait().unwrap();
    out.read_to_string(&mut String::new()).unwrap();
    assert_eq!(watching.0.wait().unwrap().code(), Some(3), "after {first}");
    let mut said = String::new();
    let mut errors = watching.0.stderr.take().unwrap();
    errors.read_to_string(&mut said).unwrap();
    let begin = format!("ctdrop: the last report was on network namespace {inside}, and");
    assert!(said.starts_with(&begin), "{said}");
    assert!(said.contains("there is no process"), "{said}");
}

#[test]
fn one_namespace_is_judged_alone() {
    let own = format!("pid:{}", std::process::id());
    let output = status(&["--netns", &own, "--interval", "100ms", "-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let inode = fs::metadata("/proc/self/ns/net").unwrap().ino();
    let namespaces = report["namespaces"].as_array().unwrap();
    assert_eq!(namespaces.len(), 1, "{report}");
    assert_eq!(namespaces[0]["netns"], inode);
    assert_eq!(report["hidden_processes"], Value::Array(Vec::new()));
}

#[test]
fn a_namespace_that_is_not_there_is_unknown() {
    let output = status(&["--netns", "no-such-namespace"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no network namespace is called"), "{said}");
}
