//! What is wrong is said, and nothing is written or changed.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{Format, Of, Options, run, time_of};
use crate::{
    logs::time::When,
    store::{
        Store,
        incident::Incident,
        interval::Interval,
        keep::Bounds,
        moment::Moment,
        record::{Boot, Namespace, Record},
    },
};

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn options(&self, of: Of) -> Options {
        Options {
            of,
            format: Format::Json,
            out: Some(self.directory.path().join("out")),
            redact: true,
            file: self.directory.path().join("ctdrop.db"),
            from: Vec::new(),
        }
    }

    /// A store with an interval, and with so many incidents.
    fn record(&self, incidents: i64) {
        self.record_in("", incidents);
    }

    /// The same in a boot of that id.
    fn record_in(&self, boot_id: &str, incidents: i64) {
        let file = self.directory.path().join("ctdrop.db");
        let boot = Boot {
            boot_id: boot_id.to_owned(),
            ..Boot::default()
        };
        let mut store = Store::open(&file, Bounds::default(), &boot).unwrap().store;
        let at = |seconds: i64| Moment {
            boot: store.begun().at.boot,
            wall: 1_700_000_000_000 + seconds * 1000,
            mono: seconds * 1000,
        };
        let incident = |id: i64| Incident {
            id,
            netns: 1,
            opened: at(id),
            last: at(id + 1),
            ..Incident::default()
        };
        let record = Record {
            namespaces: vec![Namespace {
                netns: 1,
                since: at(0),
                ..Namespace::default()
            }],
            intervals: vec![Interval {
                at: at(5),
                length: 1000,
                ..Interval::default()
            }],
            incidents: (1..=incidents).map(incident).collect(),
            ..Record::default()
        };
        store.write(&record).unwrap();
    }

    #[track_caller]
    fn assert_fails(&self, of: Of, says: &str) {
        let file = self.directory.path().join("ctdrop.db");
        let before = fs::read(&file).ok();
        let error = format!("{:#}", run(&self.options(of)).unwrap_err());
        assert!(error.contains(says), "{error}");
        assert!(!Path::new(&self.directory.path().join("out")).exists());
        assert_eq!(fs::read(&file).ok(), before, "nothing is changed");
    }
}

fn time(since: &str, until: Option<&str>) -> Of {
    Of::Time {
        since: Some(When::parse(since).unwrap()),
        until: until.map(|until| When::parse(until).unwrap()),
    }
}

#[test]
fn an_incident_that_is_not_there_is_named_with_the_last_one() {
    let place = Place::new();
    place.assert_fails(Of::Last, "there is no evidence in");
    place.record(0);
    place.assert_fails(Of::Last, "no incident is recorded in");
    place.record(3);
    place.assert_fails(Of::Incident(7), "no incident 7 in");
    place.assert_fails(Of::Incident(7), "the last is 3");
    run(&place.options(Of::Last)).unwrap();
    let report = fs::read(place.directory.path().join("out")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["incident"], 3);
}

#[test]
fn a_time_that_cannot_be_is_said_with_what_there_is() {
    let place = Place::new();
    place.record(1);
    let early = time("2023-11-14T23:00:00Z", Some("2023-11-14T22:00:00Z"));
    place.assert_fails(early, "must be earlier than --until");
    let none = time("2024-01-01T00:00:00Z", None);
    place.assert_fails(none, "no evidence after 2024-01-01T00:00:00Z in");
    place.assert_fails(none, "its evidence ends at 2023-11-14T22:13:25Z");
    let far = time("9999-12-31", None);
    place.assert_fails(far, "its evidence ends at 2023-11-14T22:13:25Z");
    let both = time("2024-01-01T00:00:00Z", Some("9999-12-30"));
    place.assert_fails(both, "its evidence ends at 2023-11-14T22:13:25Z");
    let before = time("2020-01-01", Some("2021-01-01"));
    place.assert_fails(before, "its evidence begins at 2023-11-14T22:13:21Z");
    let whole = time("2023-11-14T00:00:00Z", None);
    run(&place.options(whole)).unwrap();
}

#[test]
fn the_evidence_is_not_overwritten() {
    let place = Place::new();
    place.record(1);
    let at = |name: &str| place.directory.path().join(name);
    fs::hard_link(at("ctdrop.db"), at("hard")).unwrap();
    std::os::unix::fs::symlink("ctdrop.db", at("soft")).unwrap();
    for name in [
        "ctdrop.db",
        "hard",
        "soft",
        "ctdrop.db-wal",
        "ctdrop.db.lock",
    ] {
        let options = Options {
            out: Some(at(name)),
            ..place.options(Of::Last)
        };
        let error = run(&options).unwrap_err().to_string();
        assert!(error.contains("would overwrite the evidence"), "{error}");
    }
    run(&place.options(Of::Last)).unwrap();
}

#[test]
fn a_file_that_is_no_evidence_stays_as_it_is() {
    let place = Place::new();
    let file = place.directory.path().join("ctdrop.db");
    fs::write(&file, "no database at all".repeat(300)).unwrap();
    place.assert_fails(Of::Last, "is not a ctdrop evidence database");
}

#[test]
fn a_report_does_not_reach_into_the_future() {
    let at = |wall| Moment {
        boot: 1,
        wall,
        mono: wall,
    };
    let incident = Incident {
        opened: at(1_000_000),
        last: at(1_500_000),
        ..Incident::default()
    };
    assert_eq!(time_of(&incident, 9_000_000), (940_000, 1_560_000));
    assert_eq!(time_of(&incident, 1_530_000).1, 1_530_000);
    // The clock was set back.
    assert_eq!(time_of(&incident, 700_000).1, 1_500_000);
}

#[test]
fn databases_of_several_hosts_become_one_report() {
    let (one, other, none) = (Place::new(), Place::new(), Place::new());
    one.record(2);
    other.record(1);
    let options = |format, redact| Options {
        from: vec![
            one.directory.path().to_owned(),
            other.directory.path().join("ctdrop.db"),
            none.directory.path().to_owned(),
        ],
        format,
        redact,
        ..one.options(time("2023-11-14T00:00:00Z", None))
    };
    let out = one.directory.path().join("out");
    let made = |options: &Options| {
        run(options).unwrap();
        fs::read_to_string(&out).unwrap()
    };
    let report: serde_json::Value =
        serde_json::from_str(&made(&options(Format::Json, false))).unwrap();
    assert_eq!(report["type"], "fleet_report");
    assert_eq!(report["totals"]["hosts"], 2);
    assert_eq!(report["totals"]["incidents"], 3);
    assert_eq!(report["unread"].as_array().unwrap().len(), 1);
    let hosts = report["hosts"].as_array().unwrap();
    assert_ne!(
        hosts[0]["host"], hosts[1]["host"],
        "they have the same name"
    );
    let twice = Options {
        from: vec![
            one.directory.path().to_owned(),
            one.directory.path().join("ctdrop.db"),
        ],
        ..options(Format::Json, false)
    };
    let report: serde_json::Value = serde_json::from_str(&made(&twice)).unwrap();
    assert_eq!(report["totals"]["hosts"], 1, "it is the same file");
    assert_eq!(report["totals"]["incidents"], 2);
    assert_eq!(report["left_out"][0]["code"], "same_file");
    let redacted = made(&options(Format::Json, true));
    let place = one.directory.path().display().to_string();
    assert!(!redacted.contains(&place), "{redacted}");
    assert!(
        redacted.contains("there is no evidence in it"),
        "{redacted}"
    );
    for (format, begin) in [
        (Format::Html, "<!DOCTYPE html>"),
        (Format::Md, "# Conntrack report on several hosts"),
    ] {
        let text = made(&options(format, false));
        assert!(text.starts_with(begin), "{text}");
        assert!(text.contains("Who filled several hosts"), "{text}");
    }
    let nothing = Options {
        from: vec![none.directory.path().to_owned()],
        ..options(Format::Json, false)
    };
    let error = run(&nothing).unwrap_err().to_string();
    assert!(
        error.contains("no database that --from names has evidence"),
        "{error}"
    );
    let named = none.directory.path().display().to_string();
    assert!(error.contains(&named) && !error.contains("--db"), "{error}");
    let over = Options {
        out: Some(other.directory.path().join("ctdrop.db")),
        ..options(Format::Json, false)
    };
    let error = run(&over).unwrap_err().to_string();
    assert!(error.contains("would overwrite the evidence"), "{error}");
}

#[test]
fn copies_of_a_database_are_one_host() {
    let (host, copy, other) = (Place::new(), Place::new(), Place::new());
    host.record_in("boot-1", 1);
    let file = |place: &Place| place.directory.path().join("ctdrop.db");
    fs::copy(file(&host), file(&copy)).unwrap();
    // It goes on after it was copied.
    host.record_in("boot-1", 2);
    other.record_in("boot-2", 1);
    let options = Options {
        from: [&copy, &host, &other].map(file).to_vec(),
        redact: false,
        ..host.options(time("2023-11-14T00:00:00Z", None))
    };
    run(&options).unwrap();
    let report = fs::read(host.directory.path().join("out")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["totals"]["hosts"], 2);
    assert_eq!(report["hosts"].as_array().unwrap().len(), 2);
    let left_out = &report["left_out"];
    assert_eq!(left_out.as_array().unwrap().len(), 1, "{left_out}");
    assert_eq!(left_out[0]["code"], "copy");
    assert_eq!(left_out[0]["from"], file(&copy).display().to_string());
    assert_eq!(left_out[0]["instead"], file(&host).display().to_string());
    assert_eq!(left_out[0]["has_more"], false);
}
