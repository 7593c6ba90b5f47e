//! When the counts of refused packets are read ahead of the next drain.
//!
//! The programs give a sign when a table comes under pressure, which is before the
//! first packet is counted as refused. So the counts are read some times after it;
//! then the programs are asked for the next sign.

use std::time::{Duration, Instant};

/// Time from the sign until the counts are read for the second time.
const SOON: Duration = Duration::from_millis(1);

/// Time between two more readings.
const POLL: Duration = Duration::from_millis(10);

/// How long they are read, if nothing was refused.
const LONG: Duration = Duration::from_millis(100);

/// How long no sign is asked for once packets were refused: more of them are no
/// news, and the drains tell of them.
const REST: Duration = Duration::from_secs(2);

/// When the counts are read next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Alert {
    /// With the next sign, which the programs have been asked for.
    #[default]
    Listening,
    /// There was one.
    Reading {
        /// The next time.
        next: Instant,
        /// When that ends.
        until: Instant,
    },
    /// Packets were refused: then a sign is asked for again.
    Resting(Instant),
}

impl Alert {
    /// The programs have given a sign.
    pub(super) fn signalled(&mut self, now: Instant) {
        if *self == Self::Listening {
            *self = Self::Reading {
                next: now + SOON,
                until: now + LONG,
            };
        }
    }

    /// Packets were refused.
    pub(super) fn refused(&mut self, now: Instant) {
        *self = Self::Resting(now + REST);
    }

    /// When the counts are to be read, if nothing happens until then.
    pub(super) const fn due(self) -> Option<Instant> {
        match self {
            Self::Listening => None,
            Self::Reading { next, .. } | Self::Resting(next) => Some(next),
        }
    }

    /// The counts have been read. Whether a sign is to be asked for.
    pub(super) fn has_read(&mut self, now: Instant) -> bool {
        match *self {
            Self::Listening => return false,
            Self::Reading { next: due, .. } | Self::Resting(due) if now < due => return false,
            Self::Reading { until, .. } if now < until => {
                *self = Self::Reading {
                    next: now + POLL,
                    until,
                };
                return false;
            }
            Self::Reading { .. } | Self::Resting(_) => *self = Self::Listening,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_sign_counts_are_read_soon_and_not_for_ever() {
        let begin = Instant::now();
        let mut alert = Alert::default();
        assert_eq!(alert.due(), None);
        alert.signalled(begin);
        assert_eq!(alert.due(), Some(begin + SOON));
        let mut readings = 0;
        let mut now = begin;
        while let Some(due) = alert.due() {
            now = due;
            readings += 1;
            let asks = alert.has_read(now);
            assert_eq!(asks, alert == Alert::Listening);
        }
        assert!((5..=12).contains(&readings), "{readings}");
        assert!(now >= begin + LONG && now < begin + 2 * LONG);
    }

    #[test]
    fn once_packets_are_refused_signs_have_time() {
        let begin = Instant::now();
        let mut alert = Alert::default();
        alert.signalled(begin);
        alert.refused(begin + SOON);
        assert!(!alert.has_read(begin + SOON));
        alert.signalled(begin + LONG);
        assert_eq!(alert.due(), Some(begin + SOON + REST), "it rests");
        assert!(alert.has_read(begin + SOON + REST));
        assert_eq!(alert, Alert::Listening);
    }
}
