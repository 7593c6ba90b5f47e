//! When tables will be full: from what was recorded lately, and the looks of this run.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::Serialize;

use crate::{
    incident::forecast::{Forecast, WINDOW},
    kernel::{limits::EntriesAt, release::boot_id},
    observe::usage::NamespaceUse,
    store::{Reader, moment::Moment},
};

/// A network namespace, how it moves, and where that leads.
#[derive(Clone, Debug, Serialize)]
pub struct Namespace {
    /// How it moves.
    #[serde(flatten)]
    pub used: NamespaceUse,
    /// Seconds until it is full; none if it is not filling.
    pub full_in: Option<f64>,
    /// The same with its spread, or why there is none.
    pub forecast: Forecast,
}

impl Namespace {
    /// With what is foretold of it.
    pub fn new(used: NamespaceUse, forecast: Forecast) -> Self {
        Self {
            used,
            full_in: forecast.filling().map(|time| time.seconds),
            forecast,
        }
    }
}

/// The entries of this boot that ctdrop has recorded lately, by inode.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    tables: BTreeMap<u32, Vec<EntriesAt>>,
}

impl Recorded {
    /// Reads a file of evidence; nothing if it cannot be read: this is only a better
    /// beginning for what status sees itself.
    pub(crate) fn read(file: &Path) -> Self {
        let read = || {
            let boot = boot_id().ok()?;
            let window = i64::try_from(WINDOW.as_millis()).ok()?;
            let since = Moment::now(0).mono.saturating_sub(window);
            Reader::open(file).ok()?.entries(&boot, since).ok()
        };
        let mut tables: BTreeMap<u32, Vec<EntriesAt>> = BTreeMap::new();
        let recorded = read().unwrap_or_default();
        // What was with another limit says nothing about this one.
        let in_force = recorded.last().and_then(|last| last.max);
        let begin = recorded.iter().rposition(|one| one.max != in_force);
        for one in recorded.into_iter().skip(begin.map_or(0, |last| last + 1)) {
            tables.entry(one.inode).or_default().push(EntriesAt {
                at: Duration::from_millis(one.mono.unsigned_abs()),
                entries: one.entries,
            });
        }
        Self { tables }
    }

    /// What is foretold of a namespace.
    pub(crate) fn forecast(&self, namespace: &NamespaceUse) -> Forecast {
        let recorded = namespace.netns.and_then(|netns| self.tables.get(&netns));
        let mut samples = recorded.cloned().unwrap_or_default();
        if let Some(first) = namespace.samples.first() {
            samples.retain(|sample| sample.at < first.at);
        }
        samples.extend(&namespace.samples);
        match namespace.max {
            Some(max) => Forecast::of(&samples, max),
            None => Forecast::TooFewSamples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernel::netns::called::Netns, store::tests::recorded_of_this_boot};

    fn looked(samples: Vec<EntriesAt>) -> NamespaceUse {
        NamespaceUse {
            netns: Some(4_026_531_840),
            name: "host".to_owned(),
            entries: samples.last().map(|sample| sample.entries),
            max: Some(10_000),
            counters: None,
            refused: None,
            trend: None,
            growth: None,
            samples,
            called: Netns::default(),
        }
    }

    #[test]
    fn a_slow_rise_shows_in_what_was_recorded() {
        let now = Moment::now(0).mono;
        // 20 minutes in which 10 entries more came each minute.
        let minutes = (0..20_u32).map(|minute| {
            let entries = 5000 + u64::from(minute) * 10;
            (now - i64::from(20 - minute) * 60_000, entries, 10_000)
        });
        let (_directory, file) = recorded_of_this_boot(minutes);
        let samples = (1..=12).map(|reading| EntriesAt {
            at: Duration::from_millis(now.unsigned_abs() + reading * 90),
            entries: 5200,
        });
        let looked = looked(samples.collect());
        let alone = Recorded::default().forecast(&looked);
        assert_eq!(alone, Forecast::NotFilling);
        let forecast = Recorded::read(&file).forecast(&looked);
        let time = forecast.filling().unwrap();
        assert!((400.0..560.0).contains(&(time.seconds / 60.0)), "{time:?}");
    }

    #[test]
    fn without_a_file_the_looks_of_this_run_count() {
        let samples = (1..=12).map(|reading| EntriesAt {
            at: Duration::from_millis(reading * 90),
            entries: 5000 + reading * 90,
        });
        let recorded = Recorded::read(Path::new("/nonexistent/ctdrop.db"));
        let forecast = recorded.forecast(&looked(samples.collect()));
        let seconds = forecast.filling().unwrap().seconds;
        assert!((3.0..5.0).contains(&seconds), "{forecast:?}");
    }
}
