//! Tables that will be full soon.

use std::time::Duration;

use super::{NETNS, Stage, report};
use crate::{
    engine::update::Update,
    store::keep::Bounds,
    subscribers::{Subscriber as _, filling::Filling, recording::What},
};

/// A second after which the table has so many entries, of 1,000.
fn second(stage: &mut Stage, entries: u64) -> Vec<Filling> {
    stage.now += 1;
    let mut report = report(stage.now, Duration::from_secs(1), 0);
    report.entries = [(NETNS, entries)].into();
    let update = Update::Interval(Box::new(report));
    stage.recorder.update(&update).unwrap();
    let said = stage.said().into_iter();
    said.filter_map(|what| match what {
        What::Filling(filling) => Some(filling),
        _ => None,
    })
    .collect()
}

#[test]
fn a_table_that_fills_is_told_of_once_within_an_hour_and_once_within_ten_minutes() {
    let mut stage = Stage::new(Bounds::default());
    let mut told = Vec::new();
    // An entry more each five seconds: 2,250 s until it is full.
    for second_now in 0..2200 {
        let filling = second(&mut stage, 550 + second_now / 5);
        told.extend(filling.into_iter().map(|one| (second_now, one)));
    }
    assert_eq!(told.len(), 2, "{told:?}");
    let (when, first) = &told[0];
    assert!(*when < 120, "{told:?}");
    assert_eq!((first.netns, first.max), (NETNS, 1000));
    let left = 2250.0 - f64::from(u32::try_from(*when).unwrap());
    assert!(
        (first.time.earliest..=first.time.latest).contains(&left),
        "{first:?}"
    );
    let (_, second) = &told[1];
    assert!(second.time.seconds <= 600.0, "{second:?}");
    stage.finish(0);
    let record = stage.read();
    let events = record
        .events
        .iter()
        .filter(|event| event.event == "filling");
    let details: Vec<&str> = events.filter_map(|event| event.detail.as_deref()).collect();
    assert_eq!(details.len(), 2, "{details:?}");
    assert!(
        details[0].starts_with("the table of net:[7] will be full in about "),
        "{details:?}"
    );
}

#[test]
fn a_table_that_goes_up_and_down_is_not_told_of() {
    let mut stage = Stage::new(Bounds::default());
    for minute in 0..40_u64 {
        for second_now in 0..60 {
            let up = if minute % 2 == 0 {
                second_now
            } else {
                60 - second_now
            };
            // The first time up is all that is known.
            let told = second(&mut stage, 600 + up * 3);
            assert!(minute == 0 || told.is_empty(), "{minute} min: {told:?}");
        }
    }
}
