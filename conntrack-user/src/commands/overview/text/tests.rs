use std::{collections::BTreeMap, fs, path::Path};

use console::{measure_text_width, strip_ansi_codes};

use super::*;
use crate::{
    commands::status::capacity::Bounds,
    facts::{Facts, root::Root},
    incident::{kind::Kind, look::SavedTable},
    observe::unread::UnreadableNamespace,
    say::finding::State,
};

fn trees() -> BTreeMap<String, StatusReport> {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
    let entries = fs::read_dir(trees).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            let facts = Facts::read(&Root::open(&entry.path()).unwrap()).unwrap();
            let table = SavedTable::default();
            let report = StatusReport::of_tree(facts, entry.path(), &table, Bounds::USUAL);
            (entry.file_name().into_string().unwrap(), report)
        })
        .collect()
}

fn shown(report: &StatusReport, root: bool) -> Vec<String> {
    let lines = lines(report, root);
    let plain = |line: &String| strip_ansi_codes(line).into_owned();
    lines.iter().map(plain).collect()
}

#[track_caller]
fn assert_fits(report: &StatusReport) {
    let lines = lines(report, false);
    assert!(lines.len() < 24, "{} lines: {lines:#?}", lines.len());
    for line in &lines {
        assert!(measure_text_width(line) <= 80, "{line}");
    }
}

#[test]
fn any_report_fits_on_one_screen() {
    for (name, mut report) in trees() {
        eprintln!("{name}");
        assert_fits(&report);
        // As bad as it gets.
        let finding = |number: usize, code, severity| Finding {
            code,
            severity,
            what: format!("{number}: {}", "long words ".repeat(20)),
            why: String::new(),
            remedy: "x".repeat(500),
        };
        let many = (0..40).map(|number| finding(number, Code::LimitLostAtBoot, Severity::Warning));
        report.findings.extend(many);
        let blind = (0..9).map(|it| finding(it, Code::NamespacesHidden, Severity::Unknown));
        report.findings.extend(blind);
        assert_fits(&report);
        assert!(
            shown(&report, false)
                .iter()
                .any(|line| line.contains("more findings: ctdrop status")
                    || line.contains("findings: ctdrop status"))
        );
    }
}

#[test]
fn a_long_path_of_the_tree_is_cut_within_the_line() {
    let mut report = trees().remove("debian13").unwrap();
    for length in 1..200 {
        let path: String = "/long".repeat(40).chars().take(length).collect();
        report.root = Some(path.into());
        assert_fits(&report);
    }
}

#[test]
fn a_full_table_comes_with_what_to_run() {
    let report = &trees()["el5-curly-quotes"];
    assert_eq!(report.state, State::Critical);
    let lines = shown(report, true);
    assert!(
        lines[0].starts_with("CRITICAL: the table of host is 99 % full"),
        "{lines:#?}"
    );
    let has = |words: &str| lines.iter().any(|line| line.starts_with(words));
    for words in [
        "refused now   ",
        "critical      the table of host",
        "  remedy      ",
        "  ctdrop who            who fills the table",
        "  ctdrop fix --dry-run  the right limit",
        "  ctdrop status         all",
        "  ctdrop --help         all",
    ] {
        assert!(has(words), "no {words:?} in {lines:#?}");
    }
}

#[test]
fn what_cannot_be_seen_is_said_and_who_can_see_it() {
    let mut report = trees().remove("debian13").unwrap();
    report.findings = vec![Finding {
        code: Code::NamespacesUnreadable,
        severity: Severity::Unknown,
        what: "2 of 3 network namespaces cannot be read: blue, red".to_owned(),
        why: String::new(),
        remedy: "run as root".to_owned(),
    }];
    report.state = State::of(&report.findings);
    report.unreadable_namespaces = vec![UnreadableNamespace {
        name: "blue".to_owned(),
        why: "it needs CAP_SYS_ADMIN".to_owned(),
        denied: true,
    }];
    let lines = shown(&report, false);
    assert!(lines[0].starts_with("UNKNOWN: 2 of 3"), "{lines:#?}");
    let seen = "not seen      2 of 3 network namespaces cannot be read: blue, red";
    assert!(lines.iter().any(|line| line == seen), "{lines:#?}");
    let as_root = |root| {
        shown(&report, root)
            .iter()
            .any(|line| line.starts_with("  sudo ctdrop"))
    };
    assert!(as_root(false) && !as_root(true));
}

#[test]
fn refused_packets_come_with_the_command_that_shows_them() {
    let mut report = trees().remove("debian13").unwrap();
    let finding = |code, severity| Finding {
        code,
        severity,
        what: "12 packets refused in host in the last 0.5 s".to_owned(),
        why: String::new(),
        remedy: "raise the limit: ctdrop fix\nanother one".to_owned(),
    };
    report.findings = vec![finding(Code::PacketsRefused, Severity::Critical)];
    report.incident.kind = Kind::Undersized;
    let names = |report: &StatusReport| -> Vec<&str> {
        let next = next::commands(report, true).into_iter();
        next.map(|(command, _)| command).collect()
    };
    let last = ["ctdrop status", "ctdrop --help"];
    assert_eq!(
        names(&report)[..2],
        ["ctdrop watch", "ctdrop fix --dry-run"]
    );
    let lines = shown(&report, true);
    assert!(
        lines.contains(&"  remedy      raise the limit: ctdrop fix".to_owned()),
        "{lines:#?}"
    );
    // A higher limit does not help for long against a flood, and an unknown cause may be one.
    report.incident.kind = Kind::Flood;
    assert_eq!(names(&report), [&["ctdrop watch"][..], &last].concat());
    report.incident.kind = Kind::Undersized;
    let unknown = finding(Code::FillingUnknown, Severity::Unknown);
    report.findings.push(unknown);
    assert_eq!(
        names(&report),
        [&["ctdrop watch", "ctdrop who"][..], &last].concat()
    );
    report.findings.clear();
    assert_eq!(names(&report), [&["ctdrop watch"][..], &last].concat());
}
