//! How fast packets were refused, interval by interval, and why.

use std::{collections::VecDeque, time::Duration};

use crate::{engine::report::Report, subscribers::text::report::besides};

/// Intervals that are kept: more than the widest terminal shows.
const KEPT: usize = 512;

/// Packets of one kind, interval by interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// Since the start.
    pub(super) total: u64,
    /// The most in a second.
    pub(super) peak: f64,
    /// Packets a second in each interval.
    rates: VecDeque<f64>,
}

/// All kinds.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Packets refused, for whatever reason.
    pub(super) all: Course,
    /// By name of the reason, and what happened besides; of those that there were.
    pub(super) kinds: Vec<(&'static str, Course)>,
    /// The time that all intervals have taken.
    pub(super) length: Duration,
}

impl Course {
    #[expect(clippy::cast_precision_loss, reason = "packets a second, below 2⁵²")]
    fn add(&mut self, packets: u64, length: Duration, intervals: usize) {
        let seconds = length.as_secs_f64();
        let rate = if seconds > 0.0 {
            packets as f64 / seconds
        } else {
            0.0
        };
        self.total += packets;
        self.peak = self.peak.max(rate);
        for _ in 0..intervals.min(KEPT) {
            if self.rates.len() == KEPT {
                self.rates.pop_front();
            }
            self.rates.push_back(rate);
        }
    }

    /// Packets a second in the last interval.
    pub(super) fn rate(&self) -> f64 {
        self.rates.back().copied().unwrap_or(0.0)
    }

    /// Packets a second in the last intervals, as many as are asked for; whole numbers,
    /// and no rate above 0 is 0.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is neither negative nor above 2⁶³"
    )]
    pub(super) fn last(&self, intervals: usize) -> Vec<u64> {
        let from = self.rates.len().saturating_sub(intervals);
        let rates = self.rates.range(from..);
        rates.map(|rate| rate.ceil() as u64).collect()
    }
}

impl History {
    /// Takes in an interval.
    pub(super) fn take(&mut self, report: &Report) {
        let figures = &report.figures;
        let intervals = usize::try_from(report.intervals).unwrap_or(KEPT);
        let before = self.all.rates.len();
        self.length += report.length;
        self.all.add(figures.total(), report.length, intervals);
        let reasons = figures
            .drops
            .iter()
            .map(|(&name, &packets)| (name, packets));
        for (name, packets) in reasons.chain(besides(figures)) {
            let known = self.kinds.iter_mut().find(|(kind, _)| *kind == name);
            if let Some((_, course)) = known {
                course.add(packets, report.length, intervals);
            } else if packets > 0 {
                let mut course = Course::default();
                course.add(0, report.length, before);
                course.add(packets, report.length, intervals);
                self.kinds.push((name, course));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_has_rate_peak_and_total() {
        let mut course = Course::default();
        course.add(10, Duration::from_secs(1), 1);
        course.add(40, Duration::from_secs(2), 2);
        assert_eq!((course.total, course.last(9)), (50, vec![10, 20, 20]));
        course.add(1, Duration::from_secs(10), 1);
        assert!((course.peak - 20.0).abs() < 0.01 && (course.rate() - 0.1).abs() < 0.01);
        assert_eq!(course.last(1), [1], "a little is not nothing");
        for _ in 0..2 * KEPT {
            course.add(0, Duration::from_secs(1), 1);
        }
        assert_eq!(course.last(usize::MAX).len(), KEPT);
        assert_eq!(course.total, 51);
    }
}
