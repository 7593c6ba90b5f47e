//! The engine over an observer that counts what a test wants.

use std::time::Duration;

use tokio::{sync::watch, time};

use super::*;
use crate::engine::{by::By, fake::Fake, report::Report, view::View};

const SECOND: Duration = Duration::from_secs(1);

fn options() -> Options {
    Options {
        duration: Some(5 * SECOND + SECOND / 2),
        ..Options::default()
    }
}

async fn all(mut engine: Engine<Fake>) -> Vec<Update> {
    let mut updates = Vec::new();
    while let Some(update) = engine.next().await.unwrap() {
        updates.push(update);
    }
    updates
}

fn intervals(updates: &[Update]) -> impl Iterator<Item = &Report> {
    updates.iter().filter_map(|update| match update {
        Update::Interval(report) => Some(&**report),
        _ => None,
    })
}

fn totals(updates: &[Update]) -> &Report {
    match updates.last() {
        Some(Update::Finished(summary)) => &summary.report,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn rows_come_with_each_report_and_soon_after_another_look() {
    let (looks, view) = watch::channel(View::default());
    let options = Options {
        view: Some(view),
        ..options()
    };
    let mut engine = Fake::default().engine(options, future::pending());
    let (mut reports, mut refused, mut rows) = (0, 0, Vec::new());
    while let Some(update) = engine.next().await.unwrap() {
        match update {
            Update::Interval(report) => {
                reports += 1;
                refused += report.figures.total();
            }
            Update::Listing(listing) => {
                let total: u64 = listing.rows.top.iter().map(|row| row.total).sum();
                rows.push((reports, listing.view.by, total >= refused));
                if reports == 2 {
                    looks.send_if_modified(|view| {
                        let is_new = view.by != By::Netns;
                        view.by = By::Netns;
                        is_new
                    });
                }
            }
            _ => {}
        }
    }
    let expected = [
        (1, By::Flow),
        (2, By::Flow),
        (2, By::Netns),
        (3, By::Netns),
        (4, By::Netns),
        (5, By::Netns),
    ];
    assert_eq!(rows, expected.map(|(report, by)| (report, by, true)));
}

#[tokio::test(start_paused = true)]
async fn a_start_then_intervals_then_the_totals() {
    let updates = all(Fake::default().engine(options(), future::pending())).await;
    assert!(matches!(updates[0], Update::Started(_)), "{updates:?}");
    assert_eq!(intervals(&updates).count(), 5);
    assert_eq!(updates.len(), 7, "{updates:?}");
    let totals = totals(&updates);
    assert_eq!(
        totals.figures.total(),
        totals.flows.top.len() as u64 + totals.flows.more as u64
    );
    assert!(totals.figures.total() > 20 && totals.figures.reconciled());
    let seen: u64 = intervals(&updates)
        .map(|report| report.figures.total())
        .sum();
    assert!(
        seen <= totals.figures.total(),
        "the last part of an interval has no report"
    );
    assert_eq!(totals.names.netns(fake::NETNS), "net:[7]");
}

#[tokio::test(start_paused = true)]
async fn a_module_that_is_let_go_takes_no_more_drains() {
    let mut drains = Vec::new();
    for release_module in [false, true] {
        let options = Options {
            release_module,
            ..options()
        };
        let updates = all(Fake::default().engine(options, future::pending())).await;
        drains.push(totals(&updates).figures.total());
    }
    assert_eq!(drains[0], drains[1]);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_told_to_end_ends_with_the_totals() {
    let shutdown = time::sleep(SECOND / 2);
    let updates = all(Fake::default().engine(Options::default(), shutdown)).await;
    assert_eq!(intervals(&updates).count(), 0);
    assert!(totals(&updates).figures.total() > 0);
}

#[tokio::test(start_paused = true)]
async fn after_an_error_the_totals_still_come() {
    let mut engine = Fake::failing_after(3).engine(options(), future::pending());
    let error = loop {
        match engine.next().await {
            Ok(update) => assert!(update.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "the map is gone");
    let last = engine.next().await.unwrap();
    assert!(
        matches!(&last, Some(Update::Finished(summary)) if summary.report.figures.total() == 3)
    );
    assert!(engine.next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_by_who_waits_for_something_else_too() {
    let mut engine = Fake::default().engine(options(), future::pending());
    let mut updates = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = time::sleep(Duration::from_millis(7)) => {}
            update = engine.next() => match update.unwrap() {
                Some(update) => updates.push(update),
                None => break,
            }
        }
    }
    let whole = all(Fake::default().engine(options(), future::pending())).await;
    assert_eq!(updates.len(), whole.len());
    assert_eq!(totals(&updates).figures, totals(&whole).figures);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_at_once_and_grow() {
    let options = Options {
        refusals: true,
        intervals: false,
        ..options()
    };
    let begin = time::Instant::now();
    let mut engine = Fake::default().engine(options, future::pending());
    let mut last = 0;
    let mut flow_counts = Vec::new();
    while let Some(update) = engine.next().await.unwrap() {
        match update {
            Update::Refused(refused) => {
                let packets = refused.room[&fake::NETNS];
                assert!(last > 0 || begin.elapsed() < Duration::from_millis(5));
                assert!(packets >= last, "{packets} after {last}");
                last = packets;
                // Each is of a flow of its own; those that were not drained have none.
                let flows = refused
                    .flows
                    .and_then(|flows| flows.get(&fake::NETNS).copied());
                flow_counts.extend(flows.map(|flows| (flows.at_least, packets)));
            }
            Update::Interval(report) => panic!("{report:?}"),
            _ => {}
        }
    }
    assert!(last > 20);
    assert_eq!(flow_counts.last(), Some(&(last, last)), "{flow_counts:?}");
}

#[tokio::test(start_paused = true)]
async fn without_conntrack_it_waits() {
    let mut engine = Engine::of(
        options(),
        future::pending(),
        || Ok(false),
        |_, _| Ok(Fake::default()),
    );
    assert!(matches!(
        engine.next().await,
        Ok(Some(Update::Waiting { .. }))
    ));
    assert!(matches!(engine.next().await, Ok(None)), "the time is over");
}

#[test]
fn any_task_can_observe() {
    fn is_send(_: &(impl Send + 'static)) {}
    let mut engine = Engine::new(options(), future::pending());
    is_send(&async move { engine.next().await });
}
