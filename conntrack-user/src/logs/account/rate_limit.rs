//! Whether a kernel may have suppressed messages that it has not reported yet.
//!
//! It reports their number only with a later message. So it is missing after the
//! last burst before the end of a log, or before the kernel started again.

use std::collections::VecDeque;

use crate::{
    kernel::rate_limit::{BURST, INTERVAL},
    logs::account::moment::Moment,
};

/// By how much times in logs are inexact: syslog has whole seconds.
const INEXACT: i64 = 1_000_000;

/// What a full bucket holds: the time of a message for each of a burst.
const FULL: i64 = BURST.cast_signed() * INTERVAL;

/// The rate limit of one kernel, followed along its lines about a full table. Other
/// network messages share it, and are not seen.
///
/// - `lib/ratelimit.c: ___ratelimit`, since 2.6.27 or so: a burst in each
///   interval, which begins with the first message after the one before.
/// - `kernel/printk.c: __printk_ratelimit`, 2.6.18, and `net/core/utils.c:
///   net_ratelimit`, 2.4: a bucket of tokens. A message takes the time of an
///   interval out, which comes back as time goes by.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// Whether it is a bucket of tokens.
    by_tokens: bool,
    /// What the bucket holds at least after the last line, in microseconds.
    tokens: i64,
    /// The lines since suppressed messages were reported that may be of the last
    /// interval: how many, and when at the latest.
    recent: VecDeque<(u64, Moment)>,
    /// The last line or report: when at the earliest and at the latest.
    last: Option<(Moment, Moment)>,
}

impl Default for RateLimit {
    /// One that has not been met.
    fn default() -> Self {
        Self {
            by_tokens: false,
            tokens: FULL,
            recent: VecDeque::new(),
            last: None,
        }
    }
}

impl RateLimit {
    /// So many lines were written at `moment`; if `folded` by a syslog daemon, at
    /// any time since the line before.
    pub fn written(&mut self, lines: u64, moment: Moment, folded: bool) {
        let before = self.last.map_or(moment, |(_, latest)| latest);
        let earliest = if folded { before } else { moment };
        // Without times none may have gone by.
        let gone = earliest.since(before).unwrap_or(0).max(0);
        let taken = i64::try_from(lines)
            .unwrap_or(i64::MAX)
            .saturating_mul(INTERVAL);
        self.tokens = self
            .tokens
            .saturating_add(gone)
            // Otherwise it had not been written.
            .clamp(INTERVAL, FULL)
            .saturating_sub(taken)
            .max(0);
        self.last = Some((earliest, moment));
        self.recent.push_back((lines, moment));
        let mut sum: u64 = self
            .recent
            .iter()
            .fold(0, |sum, (lines, _)| sum.saturating_add(*lines));
        while let Some(&(lines, _)) = self.recent.front()
            && sum - lines >= BURST
        {
            sum -= lines;
            self.recent.pop_front();
        }
    }

    /// It reported at `moment` what it had suppressed until then.
    pub fn reported(&mut self, moment: Moment) {
        self.recent.clear();
        // When the bucket was empty is not known: just now, maybe.
        self.tokens = 0;
        self.last = Some((moment, moment));
    }

    /// Whether the limit was reached before, and a message at `moment` shows that nothing was
    /// suppressed: otherwise it would have been reported first.
    pub fn is_past(&self, moment: Moment) -> bool {
        let is_new = self
            .last
            .and_then(|(_, last)| moment.since(last))
            .is_some_and(|after| after >= INTERVAL - INEXACT);
        is_new && self.is_open()
    }

    /// It is known to be a bucket of tokens.
    pub const fn counts_tokens(&mut self) {
        self.by_tokens = true;
    }

    /// Whether messages may have been suppressed after the last line, which only a
    /// later message would have reported.
    pub fn is_open(&self) -> bool {
        let Some((last, _)) = self.last.filter(|_| !self.recent.is_empty()) else {
            return false;
        };
        if self.by_tokens {
            return self.tokens < INTERVAL + INEXACT;
        }
        let of_interval = |latest: Moment| {
            last.since(latest)
                .is_none_or(|before| before <= INTERVAL + INEXACT)
        };
        self.recent
            .iter()
            .filter(|(_, latest)| of_interval(*latest))
            .fold(0_u64, |sum, (lines, _)| sum.saturating_add(*lines))
            >= BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn at(second: i64) -> Moment {
        Moment::Wall(second * SECOND)
    }

    /// Lines at these seconds.
    fn after(seconds: impl IntoIterator<Item = i64>, by_tokens: bool) -> RateLimit {
        let mut limit = RateLimit::default();
        if by_tokens {
            limit.counts_tokens();
        }
        for second in seconds {
            limit.written(1, at(second), false);
        }
        limit
    }

    #[test]
    fn a_burst_meets_the_limit_and_fewer_lines_do_not() {
        for by_tokens in [false, true] {
            let open = |seconds: &[i64]| after(seconds.iter().copied(), by_tokens).is_open();
            assert!(!open(&[]));
            assert!(!open(&[0]));
            assert!(!open(&[0, 0, 0, 1, 1, 2, 2, 3]), "{by_tokens}");
            assert!(open(&[0; 10]));
            assert!(open(&[0, 0, 0, 1, 1, 2, 2, 3, 3, 4]));
            // A line of a later interval would have said it.
            assert!(!open(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60]));
        }
    }

    #[test]
    fn an_interval_gives_a_whole_burst_again_and_a_bucket_one_message() {
        let lines = [[0; 10].as_slice(), &[7]].concat();
        assert!(!after(lines.clone(), false).is_open());
        assert!(after(lines, true).is_open());
        let steady = |by_tokens| after((0..60).map(|line| line * 4), by_tokens).is_open();
        assert!(!steady(false));
        assert!(steady(true));
    }

    #[test]
    fn a_report_says_all_until_then() {
        let mut interval = after([0; 10], false);
        interval.reported(at(9));
        assert!(!interval.is_open());
        interval.written(1, at(9), false);
        assert!(!interval.is_open());
        interval.written(9, at(10), false);
        assert!(interval.is_open());
        let mut bucket = after([0; 10], true);
        bucket.reported(at(9));
        assert!(!bucket.is_open());
        // It may have been enough for this one only.
        bucket.written(1, at(9), false);
        assert!(bucket.is_open());
        bucket.written(1, at(30), false);
        assert!(!bucket.is_open());
    }

    #[test]
    fn folded_lines_may_have_come_at_once() {
        for by_tokens in [false, true] {
            let mut limit = after([0], by_tokens);
            limit.written(9, at(31), true);
            assert!(limit.is_open(), "{by_tokens}");
            limit.written(1, at(60), false);
            assert!(!limit.is_open(), "{by_tokens}");
        }
    }

    #[test]
    fn without_times_it_cannot_be_told() {
        let mut limit = RateLimit::default();
        for _ in 0..9 {
            limit.written(1, Moment::Unknown, false);
            assert!(!limit.is_open());
        }
        limit.written(1, Moment::Unknown, false);
        assert!(limit.is_open());
        assert!(limit.recent.len() <= 10);
    }
}
