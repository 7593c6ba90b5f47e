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
