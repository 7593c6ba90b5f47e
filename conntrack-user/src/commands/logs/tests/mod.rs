//! Logs from the file to the report. Each line says where it comes from; what is made
//! up says so.

mod advice;
mod carried;
mod forms;
mod generations;
mod incident;
mod languages;
mod recorded;
mod reloads;
mod selection;
mod sources;
mod suppressed;

use std::{fs, io::Write as _, path::PathBuf};

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::{
    commands::logs::{names::Names, report::LogReport, text},
    input::progress::Silent,
    logs::{
        read::{reader::Reader, request::Request},
        time::When,
    },
};

/// The year that the logs begin in.
fn in_2012() -> Request {
    Request {
        year: Some(2012),
        ..Request::default()
    }
}

fn when(text: &str) -> When {
    When::parse(text).unwrap()
}

fn hosts(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

fn report_of(paths: &[PathBuf], request: &Request) -> LogReport {
    let mut progress = Silent;
    let mut reader = Reader::new(request, TimeZone::UTC, &mut progress).unwrap();
    reader.files(paths);
    LogReport::new(&reader.finish(), &Names::new())
}

/// Reads files, and gives the JSON and the text.
fn read_paths(paths: &[PathBuf], request: &Request) -> (Value, String) {
    let report = report_of(paths, request);
    let text = text::report(&report, &TimeZone::UTC).join("\n");
    (serde_json::to_value(&report).unwrap(), text)
}

/// Reads files with these names and texts, and gives the JSON and the text.
fn read_files(files: &[(&str, &[u8])], request: &Request) -> (Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, text)| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        })
        .collect();
    read_paths(&paths, request)
}

fn read(text: &str) -> Value {
    read_files(&[("messages", text.as_bytes())], &in_2012()).0
}

#[track_caller]
fn assert_drops(report: &Value, at_least: u64, at_most: u64) {
    let drops = serde_json::json!({"at_least": at_least, "at_most": at_most, "open": false});
    assert_eq!(report["drops"], drops, "{report:#}");
}

/// The kernel may have held back more.
#[track_caller]
fn assert_open(report: &Value, at_least: u64, at_most: u64) {
    let drops = serde_json::json!({"at_least": at_least, "at_most": at_most, "open": true});
    assert_eq!(report["drops"], drops, "{report:#}");
}

/// An EL5 host's own log, as its operator published it.
const EL5: &str = "\
Mar 12 13:40:34 localhost kernel: printk: 5990 messages suppressed.
Mar 12 13:40:34 localhost kernel: ip_conntrack: table full, dropping packet.
";

const FULL: &str = "nf_conntrack: nf_conntrack: table full, dropping packet";

/// Lines of host `gate`: made up, for the rules of attribution.
fn gate(lines: &[(&str, &str)]) -> Value {
    let text: String = lines
        .iter()
        .flat_map(|(time, text)| ["Mar 12 ", time, " gate kernel: ", text, "\n"])
        .collect();
    read(&text)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}
