//! The exact count beside the bounds of the log.

use std::{fs, path::Path};

use jiff::tz::TimeZone;

use super::report_of;
use crate::{
    commands::logs::{recorded::set_beside, report::LogReport, text},
    logs::read::request::Request,
    store::tests::recorded_of_gateway,
};

/// Made up: a burst from 22:14:00 on, which is 40 s after the begin of the file.
const LOG: &str = "\
2023-11-14T22:14:05+00:00 gateway kernel: nf_conntrack: nf_conntrack: table full, dropping packet
2023-11-14T22:14:12+00:00 gateway kernel: net_ratelimit: 40 callbacks suppressed
2023-11-14T22:14:12+00:00 gateway kernel: nf_conntrack: nf_conntrack: table full, dropping packet
";

fn report() -> LogReport {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("messages");
    fs::write(&file, LOG).unwrap();
    report_of(&[file], &Request::default())
}

fn beside(file: &Path, is_of: bool) -> LogReport {
    let mut report = report();
    set_beside(&mut report, file, |host| is_of && host == "gateway");
    report
}

#[test]
fn a_burst_has_its_exact_count_if_all_of_it_was_recorded() {
    // Three flows of five packets each in the two seconds of the lines.
    let seconds = || (1..=120).map(|end| (end, if end == 45 || end == 52 { 3 } else { 0 }));
    let (_directory, file) = recorded_of_gateway(seconds());
    let report = beside(&file, true);
    let recorded = report.bursts[0].recorded.as_ref().unwrap();
    assert_eq!(recorded.packets, 30);
    assert_eq!(recorded.since, "2023-11-14T22:14:00Z");
    assert_eq!(recorded.until, "2023-11-14T22:15:00Z");
    let text = text::report(&report, &TimeZone::UTC).join("\n");
    let said = "2023-11-14 22:14:00 +00:00: the kernel's log shows 2 to 42 packets; ctdrop recorded \
                exactly 30";
    assert!(text.contains(said), "{text}");
    assert_eq!(
        beside(&file, false).bursts[0].recorded,
        None,
        "another host"
    );
    let (_directory, file) = recorded_of_gateway(seconds().filter(|&(end, _)| end != 48));
    assert!(
        beside(&file, true).bursts[0].recorded.is_some(),
        "a second late"
    );
    let (_directory, file) =
        recorded_of_gateway(seconds().filter(|&(end, _)| !(46..51).contains(&end)));
    assert_eq!(beside(&file, true).bursts[0].recorded, None, "a gap");
    let (_directory, file) = recorded_of_gateway(seconds().take(80));
    assert_eq!(beside(&file, true).bursts[0].recorded, None, "its end");
}

#[test]
fn a_log_that_shows_more_than_was_recorded_is_a_warning() {
    let (_directory, file) = recorded_of_gateway((1..=120).map(|end| (end, 0)));
    let report = beside(&file, true);
    let last = report.warnings.last().unwrap();
    assert!(
        last.starts_with("the log shows 2 packets at 2023-11-14T22:14")
            && last.contains("recorded 0"),
        "{last}"
    );
    let text = text::report(&report, &TimeZone::UTC).join("\n");
    assert!(text.contains("ctdrop recorded only 0"), "{text}");
}

#[test]
fn no_evidence_is_nothing_and_damaged_evidence_a_warning() {
    let warnings = report().warnings;
    let report = beside(Path::new("/nonexistent/ctdrop.db"), true);
    assert_eq!(report.warnings, warnings);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ctdrop.db");
    fs::write(
        &file,
        "no database, but long enough to be read as one, or so it says here",
    )
    .unwrap();
    let report = beside(&file, true);
    let last = report.warnings.last().unwrap();
    assert!(
        last.starts_with("cannot read the exact counts that ctdrop has recorded: "),
        "{last}"
    );
}
