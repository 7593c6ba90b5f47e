//! What is not written yet: for the next transaction, or for when the disk takes it
//! again; in bounded memory.

use std::collections::BTreeMap;

use crate::store::{
    failure::Failure,
    incident::Incident,
    moment::Moment,
    record::{Gap, Namespace, Record},
};

/// Intervals that are kept apart while nothing can be written; then they are added up.
const INTERVALS: usize = 60;

/// Rows of each other kind that are kept.
const ROWS: usize = 1000;

/// What is not written yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// To be written.
    pub(super) record: Record,
    /// Since when nothing can be written, and why.
    failing: Option<(Moment, String)>,
    /// Rows that have had no room since.
    lost: u64,
}

impl Pending {
    /// Whether there is nothing to be written but intervals.
    pub(super) fn is_calm(&self) -> bool {
        let Record {
            namespaces: _,
            intervals,
            limits,
            survivals,
            events,
            log_lines,
            fixes,
            gaps,
            incidents,
            censuses,
            run: _,
        } = &self.record;
        intervals.is_empty()
            && limits.is_empty()
            && survivals.is_empty()
            && events.is_empty()
            && log_lines.is_empty()
            && fixes.is_empty()
            && gaps.is_empty()
            && incidents.is_empty()
            && censuses.is_empty()
    }

    /// All of it; with the gap, if there is one that ends now.
    pub(super) fn complete(&mut self, now: Moment) -> &Record {
        self.record.gaps.retain(|gap| gap.why != NOT_WRITTEN);
        self.record.gaps.extend(self.gap(now));
        &self.record
    }

    fn gap(&self, now: Moment) -> Option<Gap> {
        let (from, error) = self.failing.as_ref()?;
        Some(Gap {
            from: *from,
            at: now,
            why: NOT_WRITTEN.to_owned(),
            lost: self.lost,
            detail: Some(error.clone()),
        })
    }

    /// All of it was written; the gap that has ended so.
    pub(super) fn written(&mut self) -> Option<Gap> {
        let gap = self
            .record
            .gaps
            .iter()
            .find(|gap| gap.why == NOT_WRITTEN)
            .cloned();
        *self = Self::default();
        gap
    }

    /// It was not written. Whether that is new.
    pub(super) fn failed(&mut self, now: Moment, failure: &Failure) -> bool {
        self.bound();
        let is_new = self.failing.is_none();
        if is_new {
            self.failing = Some((now, failure.to_string()));
        }
        is_new
    }

    /// What could not be written until the end: since when, rows, and why.
    pub(super) fn unwritten(&self) -> Option<(String, u64, String)> {
        let (since, error) = self.failing.as_ref()?;
        let rows = u64::try_from(self.record.intervals.len()).unwrap_or(u64::MAX);
        Some((since.time(), self.lost + rows, error.clone()))
    }

    /// The gap that is left if none of it can be written any more.
    pub(super) fn lost_at(&self, now: Moment) -> Gap {
        Gap {
            from: now,
            at: now,
            why: NOT_WRITTEN.to_owned(),
            lost: self.lost + u64::try_from(self.record.intervals.len()).unwrap_or(u64::MAX),
            detail: self.failing.as_ref().map(|(_, error)| error.clone()),
        }
    }

    fn bound(&mut self) {
        let record = &mut self.record;
        while record.intervals.len() > INTERVALS {
            let second = record.intervals.remove(1);
            record.intervals[0].join(second);
        }
        let lost = &mut self.lost;
        shorten(&mut record.limits, lost);
        shorten(&mut record.survivals, lost);
        shorten(&mut record.events, lost);
        shorten(&mut record.log_lines, lost);
        shorten(&mut record.fixes, lost);
        shorten(&mut record.censuses, lost);
        let latest: BTreeMap<i64, Namespace> = record
            .namespaces
            .drain(..)
            .map(|one| (one.netns, one))
            .collect();
        record.namespaces = latest.into_values().collect();
        let latest: BTreeMap<i64, Incident> = record
            .incidents
            .drain(..)
            .map(|one| (one.id, one))
            .collect();
        record.incidents = latest.into_values().collect();
    }
}

/// The gap of a time in which nothing could be written.
const NOT_WRITTEN: &str = "not_written";

/// Keeps the last rows.
fn shorten<T>(rows: &mut Vec<T>, lost: &mut u64) {
    let over = rows.len().saturating_sub(ROWS);
    rows.drain(..over);
    *lost += u64::try_from(over).unwrap_or(u64::MAX);
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::store::{interval::Interval, record::LogLine};

    fn at(second: i64) -> Moment {
        Moment {
            boot: 1,
            wall: second * 1000,
            mono: second * 1000,
        }
    }

    #[test]
    fn what_waits_is_bounded_and_no_packet_is_lost() {
        let failure = Failure::HeldByReader(PathBuf::from("x"));
        let mut pending = Pending::default();
        for second in 0..10_000 {
            pending.record.intervals.push(Interval {
                at: at(second),
                length: 1000,
                refused: 3,
                ..Interval::default()
            });
            pending.record.log_lines.push(LogLine::default());
            assert_eq!(pending.failed(at(second), &failure), second == 0);
        }
        let record = pending.complete(at(10_000)).clone();
        assert_eq!(record.intervals.len(), INTERVALS);
        let refused: u64 = record
            .intervals
            .iter()
            .map(|interval| interval.refused)
            .sum();
        assert_eq!(refused, 30_000);
        assert_eq!(record.log_lines.len(), ROWS);
        let gap = pending.written().unwrap();
        assert_eq!((gap.from, gap.at, gap.lost), (at(0), at(10_000), 9000));
        assert!(gap.detail.unwrap().contains("and end it"));
        assert!(pending.is_calm());
    }
}
