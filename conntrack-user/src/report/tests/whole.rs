//! A report as a whole: the same numbers in all forms, in the order that is promised.

use scraper::{Html, Selector};

use super::{BEGIN, at, evidence};
use crate::{
    report::{
        Evidence, POINTS, markdown::markdown, model::Report, page::page, report, timeline::coarser,
        width,
    },
    say::number::number,
    store::record::LogLine,
};

/// An incident as the recorder has it.
fn leak() -> Evidence {
    let texts: Vec<String> = (0..60).map(|place| format!("text{place}")).collect();
    let mut evidence = evidence(&texts);
    let incident = &mut evidence.record.incidents[0];
    incident.netns_name = "gateway".to_owned();
    incident.kind = "leak".to_owned();
    incident.confidence = "likely".to_owned();
    incident.culprit = Some("from 10.0.0.66: 900 entries".to_owned());
    incident.drops = "{\"table_full\":3000}".to_owned();
    evidence
}

fn made() -> Report {
    report(&leak(), None)
}

#[test]
fn three_sentences_say_what_who_and_what_to_do() {
    let summary = made().summary;
    assert_eq!(
        summary.what,
        "Since 2023-11-14 22:13:30 UTC, within 29s, conntrack refused exactly 3,000 packets in network \
         namespace gateway (table full: 3,000); the kernel's log shows 1 line about a full table."
    );
    assert_eq!(
        summary.who,
        "Who filled the table: flows from 10.0.0.66: 900 entries; the table had 1,000 entries; \
         diagnosis: a leak fills the table: idle connections that nobody closes (likely)."
    );
    assert!(
        summary.now.starts_with("What to do now: text"),
        "{}",
        summary.now
    );
    assert!(
        summary
            .now
            .ends_with("make the limit of 1,000 last: a boot would lower it (ctdrop fix)."),
        "{}",
        summary.now
    );
}

#[test]
fn lines_of_the_log_about_another_table_or_time_are_counted_apart() {
    let line = |second, netns: u32| LogLine {
        at: at(second),
        text: format!("nf_conntrack: nf_conntrack: table full in netns {netns}, dropping packet"),
    };
    let mut evidence = leak();
    // The namespace has the number 7, the incident goes from 10 to 39.
    let lines = [line(12, 7), line(12, 9), line(2, 7), line(50, 7)];
    evidence.record.log_lines.extend(lines);
    let log = report(&evidence, None).method.log;
    assert_eq!((log.lines, log.lines_elsewhere), (2, 3));
    evidence.incident = None;
    let log = report(&evidence, None).method.log;
    assert_eq!((log.lines, log.lines_elsewhere), (5, 0));
}

#[test]
fn what_the_kernel_suppressed_before_an_incident_is_not_of_it() {
    let suppressed = |second, messages: u32| LogLine {
        at: at(second),
        text: format!("net_ratelimit: {messages} callbacks suppressed"),
    };
    let mut evidence = leak();
    // Its first line is of second 11.
    evidence.record.log_lines.insert(0, suppressed(11, 990));
    evidence.record.log_lines.push(suppressed(16, 40));
    let log = report(&evidence, None).method.log;
    assert_eq!((log.suppressed, log.suppressed_before), (40, 990));
    evidence.incident = None;
    let log = report(&evidence, None).method.log;
    assert_eq!((log.suppressed, log.suppressed_before), (1030, 0));
}

#[test]
fn sections_come_in_the_promised_order() {
    let titles = [
        "Timeline",
        "Refused flows, services and senders",
        "Who filled the table",
        "Why",
        "The limit now, and after a boot, restart or reload",
        "Fixes",
        "Host",
        "Method and exactness",
    ];
    let report = made();
    let page = Html::parse_document(&page(&report));
    let heads = Selector::parse("h2").unwrap();
    let found: Vec<String> = page
        .select(&heads)
        .map(|head| head.text().collect())
        .collect();
    assert_eq!(found, titles);
    let markdown = markdown(&report);
    let found: Vec<&str> = markdown
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(found, titles);
}

#[test]
fn the_numbers_of_the_charts_are_those_of_json() {
    let report = made();
    let json = serde_json::to_value(&report).unwrap();
    let points = json["timeline"]["points"].as_array().unwrap();
    let page = Html::parse_document(&page(&report));
    let rows = Selector::parse(".points tbody tr").unwrap();
    let cells = Selector::parse("th, td").unwrap();
    let table: Vec<Vec<String>> = page
        .select(&rows)
        .map(|row| {
            row.select(&cells)
                .map(|cell| cell.text().collect())
                .collect()
        })
        .collect();
    assert_eq!(table.len(), points.len());
    for (row, point) in table.iter().zip(points) {
        assert_eq!(row[1], number(point["refused"].as_u64().unwrap()));
    }
    let descriptions = Selector::parse("desc").unwrap();
    let descriptions: Vec<String> = page
        .select(&descriptions)
        .map(|it| it.text().collect())
        .collect();
    assert_eq!(
        descriptions.iter().find(|it| it.contains("1,800")).unwrap(),
        "Bars over time. 30 of 30 points have refused packets, together 1,800."
    );
}

#[test]
fn coarser_points_have_the_same_sums() {
    let timeline = made().timeline;
    for most in [1, 7, 29, 30, 1000] {
        let fewer = coarser(&timeline, most).points;
        assert!(i64::try_from(fewer.len()).unwrap() <= most);
        let sum: u64 = fewer.iter().map(|point| point.refused).sum();
        assert_eq!(sum, 3000);
        let full: u64 = fewer.iter().map(|point| point.drops["table_full"]).sum();
        assert_eq!(full, 1800);
    }
}

#[test]
fn coarser_points_are_of_one_length_where_there_is_no_evidence_between() {
    let mut timeline = made().timeline;
    let length = timeline.point_seconds;
    timeline.points.drain(3..25);
    let fewer = coarser(&timeline, 10);
    assert_eq!(fewer.point_seconds.to_bits(), (length * 3.0).to_bits());
    let first = fewer.points[0].wall;
    let places = fewer.points.iter().map(|point| (point.wall - first) / 3000);
    assert_eq!(places.collect::<Vec<_>>(), [0, 8, 9]);
}

#[test]
fn points_are_few_and_round_however_long_the_time_is() {
    assert_eq!(width(BEGIN, BEGIN + 60_000), 1000);
    for days in [1, 30, 90, 36_500] {
        let (from, to) = (BEGIN, BEGIN + days * 86_400_000);
        let width = width(from, to);
        let first = from.div_euclid(width);
        assert!(to.div_euclid(width) - first <= POINTS, "{days} days");
        assert_eq!(width % 60_000, 0);
    }
    assert!(width(i64::MIN, i64::MAX) > 0);
}

#[test]
fn a_page_is_complete_in_itself() {
    let page = page(&made());
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
    for outside in ["http://", "https://", "url(", "@import", "<script", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    let parsed = Html::parse_document(&page);
    let heads = Selector::parse("th:not([scope])").unwrap();
    assert_eq!(parsed.select(&heads).count(), 0);
    let charts = Selector::parse("svg:not([role=img])").unwrap();
    assert_eq!(parsed.select(&charts).count(), 0);
}
