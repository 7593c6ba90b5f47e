//! What a report is made of.

use std::{collections::HashMap, time::Duration};

use crate::{
    say::clock,
    store::{
        digest::Digest,
        record::{PastRun, Record},
    },
};

/// How many points of time a report has at most.
pub const POINTS: i64 = 300;

/// What was recorded of an incident or a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// When the report is made, RFC 3339.
    pub now: String,
    /// The incident that it is about; none if it is about a time.
    pub incident: Option<i64>,
    /// The time that it covers, in milliseconds by the clock of the host.
    pub wall: (i64, i64),
    /// The length of a point in milliseconds.
    pub width: i64,
    /// What has happened in it; without intervals.
    pub record: Record,
    /// What was counted in it.
    pub digest: Digest,
    /// The runs that have counted.
    pub runs: Vec<PastRun>,
}

impl Evidence {
    /// What a namespace is called.
    pub(super) fn netns_name(&self, netns: i64) -> String {
        let mut known = self.record.namespaces.iter();
        match known.find(|known| known.netns == netns) {
            Some(known) if known.inode == 0 => UNKNOWN.to_owned(),
            Some(known) => known.name.clone(),
            None => UNKNOWN.to_owned(),
        }
    }

    /// The names of all namespaces.
    pub(super) fn netns_names(&self) -> HashMap<i64, String> {
        let known = self.record.namespaces.iter();
        known
            .map(|known| (known.netns, self.netns_name(known.netns)))
            .collect()
    }
}

/// The namespace of packets whose namespace is not known.
pub(super) const UNKNOWN: &str = "unknown";

/// A moment, RFC 3339.
pub(super) fn time(wall: i64) -> String {
    clock::of_millis(wall)
}

/// A length of time in milliseconds.
pub(super) fn length(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// How much of the time before and after an incident a report shows, in milliseconds.
pub fn margin(from: i64, to: i64) -> i64 {
    (to.saturating_sub(from) / 10).clamp(60_000, 3_600_000)
}

/// The length of a point, so that there are [`POINTS`] at most: a round one.
pub fn width(from: i64, to: i64) -> i64 {
    const SECONDS: [i64; 22] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
        86_400, 604_800, 2_592_000, 7_776_000, 31_536_000,
    ];
    let least = to.saturating_sub(from) / POINTS;
    let round = SECONDS.into_iter().map(|seconds| seconds * 1000);
    // One more point begins before the time and ends in it.
    round
        .into_iter()
        .find(|&width| width > least)
        .unwrap_or(least + 1)
}
