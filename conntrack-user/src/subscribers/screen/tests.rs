//! What is on terminals of some sizes, as a terminal emulator shows it.

use std::{future, time::Duration};

use crate::{
    engine::{fake::Fake, options::Options, report::Report, update::Update},
    say::port::Services,
    subscribers::{
        screen::{
            layout::Contents,
            terminal::{Size, render},
        },
        text::report::Interval,
    },
};

/// A report with rows.
async fn report(top: usize) -> Report {
    let options = Options {
        duration: Some(Duration::from_secs(3)),
        top,
        ..Options::default()
    };
    let mut engine = Fake::default().engine(options, future::pending());
    loop {
        match engine.next().await.unwrap() {
            Some(Update::Interval(report)) if !report.flows.top.is_empty() => return *report,
            Some(_) => {}
            None => panic!("no report has rows"),
        }
    }
}

/// A header of some lines, and the report.
fn contents(report: &Report) -> Contents {
    Contents {
        header: (1..=6).map(|line| format!("header, line {line}")).collect(),
        limit: vec!["limit    1,000 entries in each network namespace".to_owned()],
        changed: vec!["something has changed".to_owned()],
        interval: Some(Interval::of(report, &Services::default())),
    }
}

/// The lines of a terminal of that size, after it has shown something else.
fn shown(contents: &Contents, width: u16, height: u16) -> Vec<String> {
    let size = Size {
        width: width.into(),
        height: height.into(),
    };
    let mut drawn = Vec::new();
    let before = vec!["#".repeat(size.width); size.height];
    render(&mut drawn, &before, size, true).unwrap();
    render(&mut drawn, &contents.lines(size), size, true).unwrap();
    let mut terminal = vt100::Parser::new(height, width, 10);
    terminal.process(&drawn);
    terminal.screen_mut().set_scrollback(10);
    assert_eq!(terminal.screen().scrollback(), 0, "nothing has moved");
    let lines: Vec<String> = terminal.screen().rows(0, width).collect();
    assert_eq!(lines.len(), size.height);
    assert!(!lines.join("").contains('#'), "{lines:#?}");
    lines
}

const KEYS: &str = "Ctrl-C ends and prints the totals";

#[tokio::test(start_paused = true)]
async fn a_small_terminal_has_a_row_and_says_what_is_left_out() {
    let report = report(10).await;
    let lines = shown(&contents(&report), 20, 10);
    let rows = lines.iter().filter(|line| line.starts_with("1 0.0.0."));
    assert!(rows.count() >= 1, "{lines:#?}");
    assert!(
        lines.iter().any(|line| line == "  6 flows, top 3 …"),
        "{lines:#?}"
    );
    assert_eq!(lines[9], "Ctrl-C ends and …");
    assert!(
        lines.iter().any(|line| line.contains("packets refused …")),
        "{lines:#?}"
    );
    for line in &lines {
        assert!(!line.contains("0.0.0…") && !line.contains(":5…"), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_size_loses_the_row_or_the_last_line() {
    let report = report(10).await;
    let rows = report.flows.top.len();
    let contents = contents(&report);
    for height in 3..40 {
        for width in [20, 40, 80, 132] {
            let lines = shown(&contents, width, height);
            let has = |text: &str| lines.iter().any(|line| line.contains(text));
            assert!(has(" 0.0.0."), "{width}×{height}: {lines:#?}");
            assert!(has("Ctrl-C ends"), "{width}×{height}: {lines:#?}");
            let all = lines.iter().filter(|line| line.contains(":1 ")).count() == rows;
            assert!(all || height < 5 || has("flows, top"), "{width}×{height}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_address_is_cut() {
    let report = report(5).await;
    let contents = contents(&report);
    let whole: Vec<String> = shown(&contents, 200, 40)
        .iter()
        .flat_map(|line| line.split_whitespace().map(ToOwned::to_owned))
        .collect();
    for width in 20..130 {
        for line in shown(&contents, width, 40) {
            for word in line.split_whitespace().filter(|&word| word != "…") {
                let known = whole.iter().any(|it| it == word) || !word.contains("0.0.0");
                assert!(known, "{width}: {word} in {line:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_is_room_nothing_is_left_out() {
    let report = report(3).await;
    let lines = shown(&contents(&report), 132, 24);
    assert_eq!(lines[0], "header, line 1");
    assert!(lines[6].starts_with("limit    1,000"));
    assert_eq!(lines[7], "something has changed");
    assert_eq!(lines[8], "");
    assert!(lines[9].starts_with(&report.time), "{lines:#?}");
    let last = lines.iter().position(|line| line == KEYS).unwrap();
    assert_eq!(lines[last - 1], "");
    assert!(lines[last + 1..].iter().all(String::is_empty));
    assert!(
        lines[last - 2].contains("top 3 shown (--top)"),
        "{lines:#?}"
    );
}

#[test]
fn before_the_first_report_the_header_is_shown() {
    let contents = Contents {
        header: (1..=6).map(|line| format!("header, line {line}")).collect(),
        ..Contents::default()
    };
    let lines = shown(&contents, 40, 4);
    assert_eq!(
        lines,
        ["header, line 1", "header, line 2", "header, line 3", KEYS]
    );
}
