//! The forecast over tables that a test makes up.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use crate::{
    incident::forecast::{FEWEST, Forecast, TimeToFull, Trends},
    kernel::limits::EntriesAt,
};

/// A sample each second.
fn each_second(entries: impl IntoIterator<Item = u64>) -> Vec<EntriesAt> {
    let seconds = (0..).map(Duration::from_secs);
    let samples = seconds.zip(entries);
    samples
        .map(|(at, entries)| EntriesAt { at, entries })
        .collect()
}

fn time(samples: &[EntriesAt], max: u64) -> TimeToFull {
    let forecast = Forecast::of(samples, max);
    *forecast
        .filling()
        .unwrap_or_else(|| panic!("{forecast:?}: {samples:?}"))
}

/// What is foretold of a table that is followed second by second, as the daemon does.
fn followed(entries: impl IntoIterator<Item = u64>, max: u64) -> Forecast {
    let mut trends = Trends::default();
    for (second, entries) in (1..).zip(entries) {
        let at = Duration::from_secs(second);
        trends.see(at, &BTreeMap::from([(7, entries)]), Some(max));
    }
    trends.of(7)
}

/// Numbers that look random, from -1 to 1, and always the same for a seed.
fn noise(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX) * 2.0 - 1.0
    })
}

fn whole(entries: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "entries of a test"
    )]
    let whole = entries.max(0.0).round() as u64;
    whole
}

proptest! {
    #[test]
    fn a_line_with_noise_is_full_when_it_gets_there(
        seed: u64, rate in 5.0..500.0_f64, count in 30..200_u32, left in 20.0..5000.0_f64,
    ) {
        let samples = each_second((0..count).zip(noise(seed)).map(|(second, noise)| {
            whole(rate.mul_add(f64::from(second) + noise, 10_000.0))
        }));
        let max = 10_000.0 + rate * (f64::from(count - 1) + left);
        let time = time(&samples, whole(max));
        prop_assert!(time.earliest <= time.seconds && time.seconds <= time.latest);
        prop_assert!(time.earliest <= left + 1.0 && left - 1.0 <= time.latest, "{left}: {time:?}");
        prop_assert!((time.seconds / left - 1.0).abs() < 0.25, "{left}: {time:?}");
    }

    #[test]
    fn a_higher_limit_is_never_full_earlier(
        steps in prop::collection::vec(-20..80_i64, FEWEST..60), max in 1..200_000_u64, more in 0..200_000_u64,
    ) {
        let levels = steps.iter().scan(5000_i64, |level, step| {
            *level += step;
            Some(level.unsigned_abs())
        });
        let samples = each_second(levels);
        let seconds = |max| Forecast::of(&samples, max).filling().map(|time| time.seconds);
        match (seconds(max), seconds(max + more)) {
            (Some(low), Some(high)) => prop_assert!(low <= high),
            (None, high) => prop_assert_eq!(high, None),
            (Some(_), None) => {}
        }
    }

    #[test]
    fn the_order_of_its_numbers_always_holds(
        entries in prop::collection::vec(0..1000_u64, 0..70), max in 0..2000_u64,
    ) {
        if let Forecast::Filling(time) = Forecast::of(&each_second(entries), max) {
            prop_assert!(0.0 <= time.earliest && time.earliest <= time.seconds);
            prop_assert!(time.seconds <= time.latest && time.latest.is_finite());
        }
    }
}

#[test]
fn a_random_walk_does_not_fill() {
    for seconds in [FEWEST, 20, 60, 300, 2000] {
        let walks = 1000_u64;
        let filling = (1..=walks).filter(|&seed| {
            let levels = noise(seed).take(seconds).scan(5000.0, |level, step| {
                *level += step * 50.0;
                Some(whole(*level))
            });
            followed(levels, 10_000).filling().is_some()
        });
        let filling = filling.count();
        assert!(filling <= 30, "{filling} of {walks} after {seconds} s");
    }
}

#[test]
fn a_table_that_goes_up_and_down_does_not_fill() {
    for period in [10.0, 60.0, 240.0] {
        for end in 0..60_u32 {
            let wave = (0..1200 + end * 4)
                .map(|second| whole((f64::from(second) / period).sin().mul_add(2000.0, 7000.0)));
            let forecast = followed(wave, 10_000);
            assert_eq!(forecast, Forecast::NotFilling, "{period} s, {end}");
        }
    }
    // Entries of a batch all end at once.
    let teeth = (0..905_u64).map(|second| 3000 + second % 90 * 60);
    assert_eq!(followed(teeth, 10_000), Forecast::NotFilling);
}

#[test]
fn a_burst_is_told_soon_after_it_began() {
    let quiet = std::iter::repeat_n(3000, 1700);
    let burst = (1..=20).map(|second| 3000 + second * 100);
    let Forecast::Filling(time) = followed(quiet.chain(burst), 10_000) else {
        panic!("it fills")
    };
    assert!((time.earliest..=time.latest).contains(&50.0), "{time:?}");
}

#[test]
fn a_flush_begins_anew() {
    let before = (0..60).map(|second| 5000 + second * 50);
    let after = (0..20).map(|second| 200 + second * 50);
    let time = time(&each_second(before.chain(after)), 10_000);
    assert!((time.seconds - 177.0).abs() < 5.0, "{time:?}");
    let few = (0..60).map(|second| 5000 + second * 50).chain([100, 150]);
    assert_eq!(
        Forecast::of(&each_second(few), 10_000),
        Forecast::TooFewSamples
    );
}

#[test]
fn no_limit_is_never_reached_and_another_limit_begins_anew() {
    let line = || (0..20).map(|second| 5000 + second * 50);
    assert_eq!(Forecast::of(&each_second(line()), 0), Forecast::NotFilling);
    let mut trends = Trends::default();
    let mut see = |second: u64, entries, max| {
        let at = Duration::from_secs(second);
        trends.see(at, &BTreeMap::from([(7, entries)]), max);
        (trends.of(7), trends.filling().len())
    };
    let mut last = Forecast::default();
    for (second, entries) in (1..).zip(line()) {
        last = see(second, entries, Some(10_000)).0;
    }
    assert!(last.filling().is_some());
    assert_eq!(
        see(21, 6000, Some(20_000)),
        (Forecast::TooFewSamples, 0),
        "another limit"
    );
    assert_eq!(see(22, 6050, Some(0)), (Forecast::TooFewSamples, 0));
}

#[test]
fn it_is_plain_data() {
    let filling = Forecast::Filling(TimeToFull {
        seconds: 720.0,
        earliest: 540.0,
        latest: 1020.0,
        rate: 2.5,
    });
    let json = serde_json::to_value([Forecast::TooFewSamples, Forecast::NotFilling, filling]);
    assert_eq!(
        json.unwrap(),
        serde_json::json!([
            {"state": "too_few_samples"},
            {"state": "not_filling"},
            {"state": "filling", "seconds": 720.0, "earliest": 540.0, "latest": 1020.0, "rate": 2.5}
        ])
    );
}
