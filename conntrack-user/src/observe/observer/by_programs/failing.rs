//! For how long attaching again has failed.

use std::time::{Duration, Instant};

/// Attaching can fail because the module is unloaded again, and then works the next time. Only a
/// failure that lasts for so long counts, however often ctdrop tries.
pub(super) const LASTS: Duration = Duration::from_secs(20);

/// When it failed for the first time since it last worked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failing(Option<Instant>);

impl Failing {
    /// Attaching failed. Returns whether it has failed for too long.
    pub(super) fn fails(&mut self, now: Instant) -> bool {
        let since = self.0.get_or_insert(now);
        now.saturating_duration_since(*since) >= LASTS
    }

    /// Attaching worked, or another module was loaded.
    pub(super) fn begin_anew(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_to_last_however_often_it_is_looked_at() {
        let begin = Instant::now();
        for look in [Duration::from_millis(40), Duration::from_secs(1)] {
            let mut failing = Failing::default();
            let mut looks = 0;
            while !failing.fails(begin + look * looks) {
                looks += 1;
            }
            assert_eq!(look * looks, LASTS);
        }
    }

    #[test]
    fn each_success_begins_anew() {
        let begin = Instant::now();
        let mut failing = Failing::default();
        assert!(!failing.fails(begin));
        failing.begin_anew();
        assert!(!failing.fails(begin + LASTS));
        assert!(!failing.fails(begin + LASTS * 3 / 2));
        assert!(failing.fails(begin + LASTS * 2));
    }
}
