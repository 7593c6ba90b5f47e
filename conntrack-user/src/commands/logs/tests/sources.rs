//! Which files can be read, and what is said of the others.

use std::fs;

use super::{EL5, assert_open, gzip, in_2012, read_files, read_paths};
use crate::{
    commands::logs::{Options, run},
    logs::read::request::Request,
};

/// The EL5 story, compressed by xz 5, zstd 1.5 and bzip2 1.0.
const COMPRESSED: [(&str, &[u8]); 3] = [
    ("messages.xz", include_bytes!("../samples/el5.xz")),
    ("messages.zst", include_bytes!("../samples/el5.zst")),
    ("messages.bz2", include_bytes!("../samples/el5.bz2")),
];

#[test]
fn compressed_logs_are_read_also_in_several_pieces() {
    let gzip = gzip(EL5);
    let mut all = COMPRESSED.to_vec();
    all.push(("messages.gz", &gzip));
    for (name, bytes) in all {
        let year = in_2012();
        assert_open(&read_files(&[(name, bytes)], &year).0, 1, 5991);
        // Whatever it is called.
        assert_open(&read_files(&[("old", bytes)], &year).0, 1, 5991);
        let twice = [bytes, bytes].concat();
        assert_open(&read_files(&[(name, &twice)], &year).0, 2, 2 * 5991);
        // Cut off: what came before is kept, and the end is missed.
        let (report, text) = read_files(&[(name, &bytes[..bytes.len() - 9])], &year);
        let sources = report["skipped"]["sources"].as_array().unwrap();
        assert_eq!(sources.len(), 1, "{name}: {report:#}");
        assert!(text.contains("not read to its end"), "{text}");
    }
}

#[test]
fn a_tree_without_logs_is_named_with_what_was_looked_for() {
    let root = tempfile::tempdir().unwrap();
    let said = |root: &std::path::Path| {
        let options = Options {
            root: Some(root.to_owned()),
            ..Options::default()
        };
        run(&options).unwrap_err().to_string()
    };
    let error = said(root.path());
    for named in [
        root.path().to_str().unwrap(),
        "var/log/journal",
        "run/log/journal",
        "kern.log, messages, syslog in var/log",
    ] {
        assert!(error.contains(named), "{named} in {error}");
    }
    let gone = root.path().join("gone");
    let error = said(&gone);
    assert!(error.ends_with("gone is not a directory"), "{error}");
}

#[test]
fn what_is_no_log_is_an_error_that_names_it() {
    let journal = [b"LPKSHHRH".as_slice(), &[0; 300]].concat();
    let records = [b"\x07\0\0\0pts/0".as_slice(), &[0; 376]]
        .concat()
        .repeat(20);
    for (name, bytes, why) in [
        (
            "system.journal",
            journal.as_slice(),
            "/system.journal -o export",
        ),
        ("messages.lz4", b"\x04\x22\x4d\x18\x64", "lz4 -dc "),
        ("messages.zip", b"PK\x03\x04\x14", "unzip -p "),
        ("wtmp", &records, "it is not a log"),
        (
            "wtmp.gz",
            &gzip(std::str::from_utf8(&records).unwrap()),
            "it is not a log",
        ),
    ] {
        let (report, _) = read_files(&[(name, bytes)], &Request::default());
        assert_eq!(report["sources"].as_array().unwrap().len(), 0, "{report:#}");
        let unread = &report["skipped"]["sources"][0];
        assert!(
            unread["source"].as_str().unwrap().ends_with(name),
            "{unread}"
        );
        assert!(unread["why"].as_str().unwrap().contains(why), "{unread}");
    }
    let some = [EL5.as_bytes(), &[1; 4000]].concat();
    let (report, text) = read_files(&[("messages", &some)], &in_2012());
    assert_open(&report, 1, 5991);
    assert!(text.contains("is mostly binary data"), "{text}");
    // A crash leaves zeros.
    let some = [&[0; 40], EL5.as_bytes()].concat();
    let (report, _) = read_files(&[("messages", &some)], &in_2012());
    assert_eq!(report["lines"], 1, "{report:#}");
    assert!(
        report["warnings"].as_array().unwrap().len() == 1,
        "{report:#}"
    );
    // Nothing is no error.
    let (report, text) = read_files(&[("messages", b"")], &Request::default());
    assert_eq!(report["sources"].as_array().unwrap().len(), 1);
    assert!(text.starts_with("no line about a full table"), "{text}");
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("messages");
    fs::write(&path, EL5).unwrap();
    let gone = directory.path().join("gone");
    let (report, text) = read_paths(&[path, gone], &in_2012());
    assert_open(&report, 1, 5991);
    assert!(
        text.contains("not read: ") && text.contains("gone"),
        "{text}"
    );
}
