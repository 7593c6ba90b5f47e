//! The tables that fill, as reports come in.

use std::time::Duration;

use serde::Serialize;

use crate::{
    engine::report::Report,
    incident::{TimeToFull, forecast::Trends, thresholds::is_full, words},
    say::{
        number::{counted_entries, number},
        text::plain,
    },
};

/// A table that will be full later than this is not told of.
const SOON: Duration = Duration::from_hours(24);

/// A table that fills.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Filling {
    /// Inode of its namespace.
    pub netns: u32,
    /// What that is called.
    pub name: String,
    /// Its entries.
    pub entries: u64,
    /// The limit.
    pub max: u64,
    /// When it will be full.
    #[serde(flatten)]
    pub time: TimeToFull,
}

impl Filling {
    /// `the table of blue will be full in about 12 min (9 to 17 min) if it goes on like
    /// this: 800 of 1,000 entries`
    pub(super) fn sentence(&self) -> String {
        format!(
            "the table of {} will be {}: {} of {}",
            plain(&self.name),
            words::time_to_full(&self.time),
            number(self.entries),
            counted_entries(self.max)
        )
    }
}

/// Follows the tables of a host.
#[derive(Clone, Debug, Default)]
pub(super) struct Follower {
    trends: Trends,
}

impl Follower {
    /// Takes in a report; the tables that will be full within a day, the one that is full
    /// first in front.
    pub(super) fn see(&mut self, report: &Report) -> Vec<Filling> {
        let max = report.limit.as_ref().map(|limit| limit.table.max);
        let at = Duration::from_nanos(report.monotonic);
        self.trends.see(at, &report.entries, max);
        let filling = self.trends.filling().into_iter();
        let filling = filling.filter_map(|(netns, time)| {
            let (max, &entries) = (max?, report.entries.get(&netns)?);
            let is_told = time.seconds <= SOON.as_secs_f64() && !is_full(entries, max);
            is_told.then(|| Filling {
                netns,
                name: name(netns, report),
                entries,
                max,
                time,
            })
        });
        filling.collect()
    }
}

fn name(netns: u32, report: &Report) -> String {
    let mut fullest = report.fullest.iter();
    let known = fullest.find(|one| one.netns == netns);
    known.map_or_else(|| report.discovered.name_of(netns), |one| one.name.clone())
}
