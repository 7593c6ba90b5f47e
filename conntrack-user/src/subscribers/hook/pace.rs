//! Which runs of a hook are skipped, so that many incidents do not start many processes. Pure.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

/// The most incidents whose opening runs the hook within [`WINDOW`].
pub(super) const MOST: usize = 20;

/// See [`MOST`].
pub(super) const WINDOW: Duration = Duration::from_mins(1);

/// The most runs that may wait when an incident is opened.
pub(super) const WAITING: usize = 20;

/// Decides whether the hook runs.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When it ran for openings within the window.
    recent: VecDeque<Duration>,
    /// The open incidents for whose opening it ran.
    told: BTreeSet<i64>,
    /// How many runs were skipped since the last one that was not.
    skipped: u64,
}

impl Pace {
    /// Whether the hook runs for the opening of an incident while so many runs wait. The error says
    /// why not.
    pub(super) fn opened(
        &mut self,
        incident: i64,
        now: Duration,
        waiting: usize,
    ) -> Result<(), &'static str> {
        let is_recent = |at: &Duration| now.saturating_sub(*at) < WINDOW;
        while self.recent.front().is_some_and(|at| !is_recent(at)) {
            self.recent.pop_front();
        }
        if waiting >= WAITING {
            return self.skip("too many runs are waiting, because one run takes long");
        }
        if self.recent.len() >= MOST {
            return self.skip("too many incidents were opened within a minute");
        }
        self.recent.push_back(now);
        self.told.insert(incident);
        Ok(())
    }

    /// Whether it runs for the closing of an incident: only if it ran for the opening. So the runs
    /// for closings have the same bound.
    pub(super) fn closed(&mut self, incident: i64) -> Result<(), &'static str> {
        if self.told.remove(&incident) {
            Ok(())
        } else {
            self.skip("it was skipped for the opening, too")
        }
    }

    /// How many runs were skipped since the last call.
    pub(super) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    fn skip(&mut self, why: &'static str) -> Result<(), &'static str> {
        self.skipped += 1;
        Err(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_minute_and_each_with_its_closing() {
        let mut pace = Pace::default();
        let second = Duration::from_secs;
        let run = (0..30).filter(|&id| pace.opened(id, second(5), 0).is_ok());
        assert_eq!(run.count(), MOST);
        assert_eq!(pace.take_skipped(), 10);
        assert!(pace.closed(0).is_ok() && pace.closed(0).is_err());
        assert!(pace.closed(29).is_err(), "its opening was left out");
        assert_eq!(pace.take_skipped(), 2);
        assert!(pace.opened(40, second(64), 0).is_err());
        assert!(pace.opened(40, second(65), 0).is_ok());
        assert_eq!(pace.take_skipped(), 1);
    }

    #[test]
    fn nothing_waits_without_a_bound() {
        let mut pace = Pace::default();
        assert!(pace.opened(1, Duration::ZERO, WAITING).is_err());
        assert!(pace.opened(2, Duration::ZERO, WAITING - 1).is_ok());
        assert!(pace.closed(2).is_ok(), "however many wait");
    }
}
