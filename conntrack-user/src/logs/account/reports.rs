//! The kernel's reports of how many messages it suppressed, as long as it is not known
//! which burst of refused packets they are of.

use std::collections::VecDeque;

use crate::{kernel::rate_limit::NEAR, logs::account::moment::Moment};

/// Reports that are kept apart, at most. A kernel writes one in each 5 s.
const REPORTS: usize = 64;

/// A report of suppressed messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// When it was written.
    pub(super) moment: Moment,
    /// How many messages were suppressed.
    pub(super) messages: u64,
    /// Whether it says more than is left of it.
    pub(super) damaged: bool,
    /// Whether the line that the kernel writes with it may be in the log.
    pub(super) followed: bool,
}

impl Report {
    /// Whether what it reports may have been suppressed next to a line of `moment`.
    /// Where the time between them is not known it may.
    pub(super) fn is_near(&self, moment: Moment) -> bool {
        self.moment
            .since(moment)
            .is_none_or(|apart| apart.abs() <= NEAR)
    }

    /// Takes in another one.
    pub(super) const fn add(&mut self, other: Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.damaged |= other.damaged;
        self.followed &= other.followed;
    }
}

/// The reports of one host that came after no full table, or long after one.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports(VecDeque<Report>);

impl Reports {
    /// Keeps a report until a full table comes.
    pub(super) fn keep(&mut self, report: Report) {
        if self.0.len() >= REPORTS
            && let Some(oldest) = self.0.pop_front()
            && let Some(next) = self.0.front_mut()
        {
            next.add(oldest);
        }
        self.0.push_back(report);
    }

    /// The line that the kernel writes with the last report may be in the log.
    pub(super) fn last_is_followed(&mut self) {
        if let Some(last) = self.0.back_mut() {
            last.followed = true;
        }
    }

    /// Takes out those that are not near `moment`.
    pub(super) fn take_far(&mut self, moment: Moment) -> Vec<Report> {
        let (near, far): (VecDeque<_>, VecDeque<_>) =
            self.0.iter().partition(|report| report.is_near(moment));
        self.0 = near;
        far.into()
    }

    /// Takes out all.
    pub(super) fn take_all(&mut self) -> Vec<Report> {
        self.0.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn report(second: i64, messages: u64) -> Report {
        Report {
            moment: Moment::Wall(second * 1_000_000),
            messages,
            damaged: false,
            followed: true,
        }
    }

    #[test]
    fn what_is_far_is_taken_out_and_the_rest_stays() {
        let mut reports = Reports::default();
        for second in [0, 10, 70] {
            reports.keep(report(second, 1));
        }
        assert_eq!(
            reports.take_far(report(70, 0).moment),
            [report(0, 1)],
            "60 s are near"
        );
        assert!(reports.take_far(Moment::Unknown).is_empty());
        assert_eq!(reports.take_all(), [report(10, 1), report(70, 1)]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_loses_no_message() {
        let mut reports = Reports::default();
        for second in 0..1000 {
            reports.keep(report(second / 100, 1));
        }
        assert_eq!(reports.0.len(), REPORTS);
        let sum: u64 = reports.take_all().iter().map(|kept| kept.messages).sum();
        assert_eq!(sum, 1000);
    }
}
