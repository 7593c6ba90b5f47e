//! Years, and lines by time and host.

use std::fs;

use jiff::tz::TimeZone;

use super::{EL5, FULL, hosts, in_2012, read_files, read_paths, report_of, when};
use crate::{
    input::progress::Silent,
    logs::read::{
        reader::Reader,
        request::{EmptyPeriod, Request},
    },
};

#[test]
fn years_are_told_from_the_time_of_the_file_and_followed() {
    let directory = tempfile::tempdir().unwrap();
    let first = |text: &str, written: &str, year: Option<i16>| {
        let path = directory.path().join("messages");
        fs::write(&path, text).unwrap();
        let written = humantime::parse_rfc3339(written).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(written).unwrap();
        let request = Request {
            year,
            ..Request::default()
        };
        let report = report_of(&[path], &request);
        (
            report.first.unwrap()[..10].to_owned(),
            report.last.unwrap()[..10].to_owned(),
        )
    };
    let days = |days: &[&str]| -> String {
        let message = " 10:00:01 gate kernel: nf_conntrack: table full, dropping packet\n";
        days.iter().flat_map(|day| [day, message]).collect()
    };
    let of = |first: &str, last: &str| (first.to_owned(), last.to_owned());
    assert_eq!(
        first(&days(&["Dec 31", "Jan  1"]), "2024-01-05T00:00:00Z", None),
        of("2023-12-31", "2024-01-01")
    );
    assert_eq!(
        first(
            &days(&["Jan  1", "Jun  1", "Dec 1", "Jan  2"]),
            "2024-01-05T00:00:00Z",
            None
        ),
        of("2023-01-01", "2024-01-02")
    );
    // Three years in one file.
    let long = days(&[
        "Mar  1", "Aug  1", "Dec  1", "Mar  1", "Aug  1", "Dec  1", "Mar  1",
    ]);
    assert_eq!(
        first(&long, "2024-03-05T00:00:00Z", None),
        of("2022-03-01", "2024-03-01")
    );
    assert_eq!(
        first(&days(&["Feb 29"]), "2026-01-01T00:00:00Z", None),
        of("2024-02-29", "2024-02-29")
    );
    assert_eq!(
        first(
            &days(&["Dec 31", "Jan  1"]),
            "2024-01-05T00:00:00Z",
            Some(1999)
        ),
        of("1999-12-31", "2000-01-01")
    );
}

#[test]
fn an_old_part_is_not_of_a_later_year_than_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    for (name, written) in [
        ("messages.1", "2026-06-01T00:00:00Z"),
        ("messages", "2012-03-12T14:00:00Z"),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, EL5).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        let written = humantime::parse_rfc3339(written).unwrap();
        file.set_modified(written).unwrap();
    }
    let paths = ["messages", "messages.1"].map(|name| directory.path().join(name));
    let (report, _) = read_paths(&paths, &Request::default());
    assert_eq!(report["first"], "2012-03-12T13:40:34Z");
    assert_eq!(report["last"], report["first"]);
}

#[test]
fn time_and_host_can_be_asked_for() {
    let text = "\
Mar 12 10:00:01 a kernel: nf_conntrack: table full, dropping packet
Mar 12 11:00:01 a kernel: nf_conntrack: table full, dropping packet
Mar 12 11:00:01 b kernel: nf_conntrack: table full, dropping packet
Mar 12 12:00:01 a kernel: nf_conntrack: table full, dropping packet
";
    let ask = |request: &Request| {
        read_files(&[("messages", text.as_bytes())], request).0["lines"]
            .as_u64()
            .unwrap()
    };
    let since_eleven = Request {
        since: Some(when("2012-03-12 11:00")),
        ..in_2012()
    };
    assert_eq!(ask(&in_2012()), 4);
    assert_eq!(ask(&since_eleven), 3);
    let until_noon = Request {
        until: Some(when("2012-03-12T12:00:00Z")),
        ..since_eleven
    };
    assert_eq!(ask(&until_noon), 2);
    let of_a = Request {
        hosts: hosts("a"),
        ..in_2012()
    };
    assert_eq!(ask(&of_a), 3);
    let of_b = Request {
        hosts: hosts("b"),
        since: Some(when("2012-03-12T11:30:00")),
        ..in_2012()
    };
    assert_eq!(ask(&of_b), 0);
}

#[test]
fn a_period_that_ends_before_it_begins_is_wrong_usage() {
    let demand = |since: &str, until: &str| {
        let request = Request {
            since: Some(when(since)),
            until: Some(when(until)),
            ..Request::default()
        };
        Reader::new(&request, TimeZone::UTC, &mut Silent).map(|_| ())
    };
    for (since, until) in [
        ("2012-03-13", "2012-03-12"),
        ("2012-03-12", "2012-03-12"),
        ("1h", "2h"),
    ] {
        let error = demand(since, until).unwrap_err();
        assert!(error.is::<EmptyPeriod>(), "{error}");
        assert!(
            error.to_string().contains("must be earlier than --until"),
            "{error}"
        );
    }
    assert!(demand("2012-03-12", "2012-03-13").is_ok());
    assert!(demand("2h", "1h").is_ok());
}

#[test]
fn what_was_not_asked_for_is_said_if_nothing_else_is_there() {
    let text = "\
Mar 12 10:00:01 fw kernel: nf_conntrack: table full, dropping packet
Mar 12 11:00:01 fw kernel: nf_conntrack: table full, dropping packet
Mar 12 12:00:01 gate kernel: nf_conntrack: table full, dropping packet
";
    let ask = |text: &str, request: Request| read_files(&[("messages", text.as_bytes())], &request);
    let of = |host: &str| Request {
        hosts: hosts(host),
        ..in_2012()
    };
    let (report, said) = ask(text, of("nope"));
    assert!(
        said.contains("matches the options")
            && said.contains("--host filters out 3 lines; hosts: fw, gate"),
        "{said}"
    );
    assert_eq!(report["filtered_out"]["hosts"][1], "gate");
    let (report, said) = ask(
        text,
        Request {
            since: Some(when("2013-01-01")),
            ..of("fw")
        },
    );
    assert!(
        said.contains("--host filters out 1 line; hosts: gate")
            && said.contains(
                "--since and --until filter out 2 lines from 2012-03-12 10:00:01 +00:00 to \
                 2012-03-12 11:00:01 +00:00"
            ),
        "{said}"
    );
    assert_eq!(report["filtered_out"]["by_host"], 1);
    assert_eq!(report["filtered_out"]["by_time"], 2);
    assert_eq!(report["filtered_out"]["last"], "2012-03-12T11:00:01Z");
    let (_, said) = ask(
        &format!("[ 1281.489259] {FULL}\n"),
        Request {
            until: Some(when("2013-01-01")),
            ..in_2012()
        },
    );
    assert!(said.contains("1 line without a time of day"), "{said}");
    let (_, said) = ask(&format!("[ 1281.489259] {FULL}\n"), of("a"));
    assert!(said.contains("1 line; hosts: unnamed"), "{said}");
    for (text, host) in [(text, "fw"), ("", "nope")] {
        let (_, said) = ask(text, of(host));
        assert!(
            !said.contains("the options") && !said.contains("filters out"),
            "{said}"
        );
    }
}
