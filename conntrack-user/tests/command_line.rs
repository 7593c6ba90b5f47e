//! Help and version where they cannot be written.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs::{File, OpenOptions},
    process::{Command, Output, Stdio},
};

fn written_to(out: File, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ctdrop"))
        .args(arguments)
        .stdout(out)
        .stderr(Stdio::piped())
        .output()
        .unwrap()
}

#[test]
fn help_on_a_full_disk_is_an_error() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["help"],
        &["watch", "--help"],
        &["status", "--help"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = written_to(full, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            said.starts_with("ctdrop: cannot write to standard output: No space left"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn help_that_nobody_reads_is_none() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let writer = File::from(std::os::fd::OwnedFd::from(writer));
    let output = written_to(writer, &["watch", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
}

#[test]
fn a_plugin_with_wrong_usage_is_heard_on_standard_output() {
    let output = Command::new(env!("CARGO_BIN_EXE_ctdrop"))
        .args(["status", "--nagios", "--nonsense"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("CTDROP UNKNOWN - "), "{said}");
    assert!(
        said.contains("--nonsense") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(output.status.code(), Some(3));
}

/// A log with one refused packet.
fn log(directory: &std::path::Path) -> String {
    let file = directory.join("messages");
    let line = "Mar 12 13:40:34 gateway kernel: nf_conntrack: table full, dropping packet\n";
    std::fs::write(&file, line).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_directory_of_evidence_that_is_not_there_is_said_if_it_was_named() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(directory.path());
    let logs = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_ctdrop"))
            .args(["logs", &log])
            .args(more)
            .output()
            .unwrap()
    };
    let named = logs(&["--state-dir", "/no/such/directory"]);
    let said = String::from_utf8_lossy(&named.stderr);
    assert!(
        said.contains("there is no evidence in /no/such/directory/ctdrop.db"),
        "{said}"
    );
    assert_eq!(named.status.code(), Some(0));
    if !std::path::Path::new("/var/lib/ctdrop").exists() {
        assert_eq!(String::from_utf8_lossy(&logs(&[]).stderr), "");
    }
}

#[test]
fn an_unknown_time_zone_is_said_once() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(directory.path());
    let said = |zone: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_ctdrop"))
            .args(["logs", &log])
            .env("TZ", zone)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).unwrap()
    };
    let unknown = said("Nowhere/Land");
    assert_eq!(
        unknown.matches("TZ=Nowhere/Land is no time zone").count(),
        1
    );
    assert!(unknown.contains("so times are in UTC"), "{unknown}");
    for known in ["", "UTC", "CET-1CEST,M3.5.0,M10.5.0/3"] {
        assert_eq!(said(known), "", "{known}");
    }
}

/// What `ctdrop logs` prints of a log, in a time zone.
fn logs_in(zone: &str, more: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ctdrop"))
        .args(["logs", "--year", "2026", &log(directory.path())])
        .args(more)
        .env("TZ", zone)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    text.replace(directory.path().to_str().unwrap(), "")
}

#[test]
fn times_are_local_with_their_offset_or_in_utc() {
    let (there, here) = ("at 2026-03-12 13:40:34 ", "at 2026-03-12 07:55:34 ");
    assert!(logs_in("Asia/Kathmandu", &[]).contains(&format!("{there}+05:45\n")));
    assert!(logs_in("Asia/Kathmandu", &["--utc"]).contains(&format!("{here}+00:00\n")));
    assert!(logs_in("UTC", &[]).contains(&format!("{there}+00:00\n")));
    let json = logs_in("Asia/Kathmandu", &["-o", "json"]);
    assert!(json.contains("\"2026-03-12T07:55:34Z\""), "{json}");
    assert_eq!(json, logs_in("Asia/Kathmandu", &["--utc", "-o", "json"]));
}

/// What `ctdrop status` prints of a tree in a pipe.
fn status_of_tree(more: &[&str], environment: &[(&str, &str)]) -> Vec<u8> {
    let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees/el5-curly-quotes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctdrop"));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    let output = command
        .args(["status", "--root", tree])
        .args(more)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    output.stdout
}

#[test]
fn colours_come_if_they_are_wanted_and_say_nothing_that_words_do_not() {
    let plain = status_of_tree(&[], &[]);
    assert!(!plain.contains(&0x1b));
    for (option, environment) in [
        ("--color=never", &[("CLICOLOR_FORCE", "1")][..]),
        (
            "--color=auto",
            &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
        ),
        ("--color=auto", &[("TERM", "xterm-256color")]),
    ] {
        assert_eq!(status_of_tree(&[option], environment), plain, "{option}");
    }
    for (option, environment) in [
        ("--color=always", &[][..]),
        ("--color=always", &[("NO_COLOR", "1")]),
        ("--color=always", &[("TERM", "dumb")]),
        ("--color=auto", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")]),
    ] {
        let coloured = status_of_tree(&[option], environment);
        assert!(coloured.contains(&0x1b), "{option} {environment:?}");
        let text = String::from_utf8(coloured).unwrap();
        let stripped = console::strip_ansi_codes(&text);
        assert_eq!(stripped.as_bytes(), plain, "{option} {environment:?}");
    }
}
