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
