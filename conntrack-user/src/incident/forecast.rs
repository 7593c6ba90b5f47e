//! When a table will be full if it goes on as it does: the only forecast of ctdrop.
//!
//! The rate is the median of the slopes between samples (Theil and Sen), so that single
//! odd samples do not matter. A table fills if nearly all slopes rise, or if it rises to
//! where it has not been before; one that goes up and down does not. One large fall is a
//! flush: what came before it says nothing. Two of them are how the table works.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::Serialize;

use crate::kernel::limits::EntriesAt;

/// How far back samples matter.
pub const WINDOW: Duration = Duration::from_mins(30);

/// The times over which a table is looked at, the longest first. A burst shows in a short
/// one before it does in a long one.
const SPANS: [Duration; 4] = [
    WINDOW,
    Duration::from_mins(5),
    Duration::from_mins(1),
    Duration::from_secs(15),
];

/// Fewer samples than this say nothing.
pub const FEWEST: usize = 10;

/// How many samples are kept of a table; of older ones, some are left out.
const SAMPLES: usize = 64;

/// Slopes are taken between samples that are at least this part of the time apart:
/// between close ones there is nothing but noise.
const PART: u32 = 8;

/// Of a hundred slopes so many may lie below the spread, and as many above. A table fills
/// if all of the spread rises.
const OUTSIDE: usize = 5;

/// By how many standard deviations of a random walk a table must have risen.
const DEVIATIONS: f64 = 2.6;

/// A table is where it has not been if it is above that by this part of its ups and downs.
const MARGIN: f64 = 0.1;

/// A table that has less than this part of the entries of the sample before was flushed.
const FLUSHED: u64 = 2;

/// Nothing is foretold for a later time.
const HORIZON: Duration = Duration::from_hours(7 * 24);

/// Tables are followed from this share of the limit on, in per cent.
const FOLLOWED: u64 = 25;

/// How many tables are followed.
const TABLES: usize = 64;

/// When a table will be full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Forecast {
    /// There are too few samples to say.
    #[default]
    TooFewSamples,
    /// Not within a week, if it goes on like this.
    NotFilling,
    /// It fills.
    Filling(TimeToFull),
}

/// The time until a table is full, if it goes on like this; in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TimeToFull {
    /// At the median rate.
    pub seconds: f64,
    /// At the highest rate of those that the samples show.
    pub earliest: f64,
    /// At the lowest one.
    pub latest: f64,
    /// The median rate: entries a second.
    pub rate: f64,
}

impl Forecast {
    /// Judges samples of a table, in order of time, against its limit; 0 is none.
    pub fn of(samples: &[EntriesAt], max: u64) -> Self {
        let samples = since_flush(samples);
        if samples.len() < FEWEST {
            return Self::TooFewSamples;
        }
        if max == 0 {
            return Self::NotFilling;
        }
        let filling = SPANS.iter().find_map(|&span| within(samples, span, max));
        filling
            .filter(|time| time.seconds <= HORIZON.as_secs_f64())
            .map_or(Self::NotFilling, Self::Filling)
    }

    /// The time to full, if the table fills.
    pub const fn filling(&self) -> Option<&TimeToFull> {
        match self {
            Self::Filling(time) => Some(time),
            Self::TooFewSamples | Self::NotFilling => None,
        }
    }
}

/// The samples since a table was flushed, if that happened once.
fn since_flush(samples: &[EntriesAt]) -> &[EntriesAt] {
    let pairs = samples.windows(2).enumerate();
    let mut flushes = pairs
        .filter(|(_, pair)| pair[1].entries < pair[0].entries / FLUSHED)
        .map(|(place, _)| place + 1);
    match (flushes.next(), flushes.next()) {
        (Some(only), None) => &samples[only..],
        _ => samples,
    }
}

/// The time to full, if the table fills by what the last samples show.
fn within(samples: &[EntriesAt], span: Duration, max: u64) -> Option<TimeToFull> {
    let last = samples.last()?.at;
    let begin = samples.partition_point(|sample| last.saturating_sub(sample.at) > span);
    let (before, recent) = samples.split_at(begin);
    if recent.len() < FEWEST || !drifts(recent) || !is_new(recent, before) {
        return None;
    }
    let slopes = slopes(recent);
    let outside = slopes.len() * OUTSIDE / 100;
    let (lowest, highest) = (*slopes.get(outside)?, *slopes.iter().rev().nth(outside)?);
    let rate = slopes[slopes.len() / 2];
    let level = level(&recent[recent.len() - FEWEST..], rate);
    let left = (amount(max) - level).max(0.0);
    let time = TimeToFull {
        seconds: left / rate,
        earliest: left / highest,
        latest: left / lowest,
        rate,
    };
    (lowest > 0.0).then_some(time)
}

/// Whether a table rises by more than steps to and fro are likely to: those of `n` steps
/// add up to a normal distribution, whose variance is the sum of their squares.
fn drifts(samples: &[EntriesAt]) -> bool {
    let steps = samples.windows(2);
    let steps = steps.map(|pair| amount(pair[1].entries) - amount(pair[0].entries));
    let (rise, squares) = steps.fold((0.0, 0.0), |(rise, squares): (f64, f64), step| {
        (rise + step, step.mul_add(step, squares))
    });
    rise > DEVIATIONS * squares.sqrt()
}

/// Whether a table is well above where it has been: up to there it may as well go back.
fn is_new(recent: &[EntriesAt], before: &[EntriesAt]) -> bool {
    let entries = || before.iter().map(|sample| amount(sample.entries));
    let (most, least) = (
        entries().fold(0.0, f64::max),
        entries().fold(f64::MAX, f64::min),
    );
    let now = recent.last().map_or(0.0, |last| amount(last.entries));
    before.is_empty() || now > MARGIN.mul_add(most - least, most)
}

/// The slopes between samples that are not close to each other, in order: entries a
/// second.
fn slopes(samples: &[EntriesAt]) -> Vec<f64> {
    let whole = match samples {
        [first, .., last] => last.at.saturating_sub(first.at),
        _ => Duration::ZERO,
    };
    let mut slopes = Vec::with_capacity(samples.len() * samples.len() / 2);
    for (place, earlier) in samples.iter().enumerate() {
        for later in &samples[place + 1..] {
            let apart = later.at.saturating_sub(earlier.at);
            if apart * PART >= whole && !apart.is_zero() {
                let rise = amount(later.entries) - amount(earlier.entries);
                slopes.push(rise / apart.as_secs_f64());
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    slopes
}

/// The entries at the last sample, of the median of what each lets expect.
fn level(samples: &[EntriesAt], rate: f64) -> f64 {
    let Some(last) = samples.last() else {
        return 0.0;
    };
    let expected = samples.iter().map(|sample| {
        let since = last.at.saturating_sub(sample.at).as_secs_f64();
        rate.mul_add(since, amount(sample.entries))
    });
    let mut expected: Vec<f64> = expected.collect();
    expected.sort_by(f64::total_cmp);
    expected[expected.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "entries, far below 2⁵²")]
const fn amount(entries: u64) -> f64 {
    entries as f64
}

/// Follows the tables of a host, by the inode of their namespace.
#[derive(Clone, Debug, Default)]
pub struct Trends {
    max: u64,
    tables: BTreeMap<u32, VecDeque<EntriesAt>>,
}

impl Trends {
    /// Takes in the entries of all tables at a moment of `CLOCK_MONOTONIC`, and the limit.
    /// Another limit than before begins anew.
    pub fn see(&mut self, at: Duration, entries: &BTreeMap<u32, u64>, max: Option<u64>) {
        let max = max.unwrap_or(0);
        if max != self.max {
            self.tables.clear();
            self.max = max;
        }
        let is_followed = |entries: u64| {
            entries > 0 && entries.saturating_mul(100) >= max.saturating_mul(FOLLOWED)
        };
        self.tables.retain(|netns, samples| {
            entries.contains_key(netns) && samples.iter().any(|sample| is_followed(sample.entries))
        });
        for (&netns, &entries) in entries {
            let is_new = !self.tables.contains_key(&netns);
            if max == 0 || is_new && (!is_followed(entries) || self.tables.len() >= TABLES) {
                continue;
            }
            let samples = self.tables.entry(netns).or_default();
            // A clock that stands still tells nothing; one that goes back is of another boot.
            if samples.back().is_some_and(|last| last.at >= at) {
                samples.clear();
            }
            samples.push_back(EntriesAt { at, entries });
            shorten(samples, at);
        }
    }

    /// What is foretold of the table of a namespace.
    pub fn of(&self, netns: u32) -> Forecast {
        let samples = self.tables.get(&netns);
        samples.map_or_else(Forecast::default, |samples| {
            let samples: Vec<EntriesAt> = samples.iter().copied().collect();
            Forecast::of(&samples, self.max)
        })
    }

    /// The tables that fill, the one that is full first in front.
    pub fn filling(&self) -> Vec<(u32, TimeToFull)> {
        let each = self.tables.keys();
        let each = each.filter_map(|&netns| Some((netns, *self.of(netns).filling()?)));
        let mut filling: Vec<(u32, TimeToFull)> = each.collect();
        filling.sort_by(|(_, one), (_, other)| one.seconds.total_cmp(&other.seconds));
        filling
    }
}

/// Forgets samples that are too old, and of the older half the lower one of two if there
/// are too many: where the table has been stays known.
fn shorten(samples: &mut VecDeque<EntriesAt>, now: Duration) {
    while samples
        .front()
        .is_some_and(|first| now.saturating_sub(first.at) > WINDOW)
    {
        samples.pop_front();
    }
    if samples.len() > SAMPLES {
        let recent = samples.split_off(SAMPLES / 2);
        let higher = |pair: &[EntriesAt]| pair.iter().copied().max_by_key(|one| one.entries);
        let older = samples.make_contiguous().chunks(2).filter_map(higher);
        *samples = older.collect();
        samples.extend(recent);
    }
}
