//! Warns of a table before it is full, and does not repeat itself.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    engine::report::Report,
    subscribers::filling::{Filling, Follower},
};

/// A table is told of when it will be full within the first of these times, and again
/// within the second.
const WITHIN: [Duration; 2] = [Duration::from_hours(1), Duration::from_mins(10)];

/// For so many reports in a row it must look so.
const IN_A_ROW: u32 = 5;

/// The same is not told again before this time is over.
const AGAIN: Duration = Duration::from_hours(1);

/// Warns of tables that fill.
#[derive(Debug, Default)]
pub(super) struct Warner {
    follower: Follower,
    tables: BTreeMap<u32, Table>,
}

/// What is known of a table.
#[derive(Clone, Copy, Debug, Default)]
struct Table {
    /// For how many reports in a row it has filled.
    in_a_row: u32,
    /// When it was told, for each of the times.
    told: [Option<Duration>; WITHIN.len()],
}

impl Warner {
    /// Takes in a report; the tables to be told of now.
    pub(super) fn see(&mut self, report: &Report) -> Vec<Filling> {
        let now = Duration::from_nanos(report.monotonic);
        let mut filling = self.follower.see(report);
        filling.retain(|table| table.time.seconds <= WITHIN[0].as_secs_f64());
        for (netns, table) in &mut self.tables {
            if !filling.iter().any(|one| one.netns == *netns) {
                table.in_a_row = 0;
            }
        }
        filling.retain(|one| {
            let table = self.tables.entry(one.netns).or_default();
            table.in_a_row += 1;
            table.in_a_row >= IN_A_ROW && table.is_news(one.time.seconds, now)
        });
        self.tables
            .retain(|netns, _| report.entries.contains_key(netns));
        filling
    }
}

impl Table {
    /// Whether that has not been told lately; takes it as told.
    fn is_news(&mut self, seconds: f64, now: Duration) -> bool {
        let reached = || (0..WITHIN.len()).filter(|&place| seconds <= WITHIN[place].as_secs_f64());
        let is_due =
            |told: Option<Duration>| told.is_none_or(|told| now.saturating_sub(told) >= AGAIN);
        let is_news = reached().any(|place| is_due(self.told[place]));
        if is_news {
            reached().for_each(|place| self.told[place] = Some(now));
        }
        is_news
    }
}
