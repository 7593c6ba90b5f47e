//! What the kernel log says of full tables while the counters are followed.
//!
//! The kernel reports how many messages it has suppressed with the next message that has
//! the same limit, however late that is. The number is of the burst before, so one from
//! before the start is told apart.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::{
    kernel::{
        kmsg::{KernelLog, Record},
        message::Message,
        rate_limit::{INTERVAL, NEAR},
    },
    observe::check::counter_history::FullTables,
};

/// The kernel log, or why it cannot be read.
pub(crate) enum Log {
    Open(KernelLog, Account),
    Closed(String),
}

/// What the kernel log has said since the start, about any namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Logged {
    /// Lines about a full table.
    pub lines: u64,
    /// Network messages that the kernel says it has suppressed, of conntrack or of
    /// others.
    pub suppressed: u64,
    /// Those that it has reported next to no line about a full table: of a burst before
    /// the start, or of other messages.
    pub suppressed_elsewhere: u64,
    /// Records that were overwritten before they could be read, at least.
    pub lost: u64,
}

/// Adds up what the log says.
#[derive(Debug)]
pub(crate) struct Account {
    logged: Logged,
    started: Instant,
    /// When that was at the earliest, by the clock of the log, in microseconds.
    start: u64,
    /// When the last line about a full table was written, by the same clock.
    full: Option<u64>,
    /// Whether suppressed messages were reported since then.
    reported: bool,
    /// Records that had been lost at the start.
    lost_before: u64,
}

impl Log {
    /// Opens it, and reads what was said before the start.
    pub(crate) fn open() -> Self {
        let mut account = Account::begin(Instant::now());
        let opened = KernelLog::from_start().and_then(|mut log| {
            log.read(|record| account.note_before(record))?;
            account.lost_before = log.lost();
            Ok(log)
        });
        match opened {
            Ok(log) => Self::Open(log, account),
            Err(error) => Self::Closed(format!("{error:#}")),
        }
    }

    /// What it has said since it was opened; none if it cannot be read.
    pub(crate) const fn logged(&self) -> Option<Logged> {
        match self {
            Self::Open(_, account) => Some(account.logged),
            Self::Closed(_) => None,
        }
    }

    /// The tables that it has said were full, since the last time.
    pub(crate) fn read(&mut self) -> Result<FullTables> {
        let mut full = FullTables::default();
        if let Self::Open(log, account) = self {
            let since_start = account.started.elapsed();
            log.read(|record| account.note(record, since_start, &mut full))?;
            account.logged.lost = log.lost().saturating_sub(account.lost_before);
        }
        Ok(full)
    }
}

impl Account {
    const fn begin(started: Instant) -> Self {
        Self {
            logged: Logged {
                lines: 0,
                suppressed: 0,
                suppressed_elsewhere: 0,
                lost: 0,
            },
            started,
            start: 0,
            full: None,
            reported: false,
            lost_before: 0,
        }
    }

    /// Takes in a record that was written before the start.
    fn note_before(&mut self, record: &Record<'_>) {
        self.start = self.start.max(record.uptime);
        match Message::parse(record.text) {
            Some(Message::TableFull { .. }) => self.full(record),
            Some(Message::Suppressed { .. }) => self.reported = true,
            _ => {}
        }
    }

    /// A table was full.
    const fn full(&mut self, record: &Record<'_>) {
        self.full = Some(record.uptime);
        self.reported = false;
    }

    /// Whether messages whose suppression is reported now may be about a full table of
    /// this run.
    fn may_be_full(&self, report: &Record<'_>) -> bool {
        self.full.is_some_and(|full| {
            if self.reported {
                report.uptime <= full + NEAR.cast_unsigned()
            } else {
                // Nothing is suppressed later than that without another message.
                full + INTERVAL.cast_unsigned() >= self.start
            }
        })
    }

    /// Takes in a record that was read so long after the start.
    fn note(&mut self, record: &Record<'_>, since_start: Duration, full: &mut FullTables) {
        let since_start = u64::try_from(since_start.as_micros()).unwrap_or(u64::MAX);
        self.start = self.start.max(record.uptime.saturating_sub(since_start));
        match Message::parse(record.text) {
            Some(Message::TableFull { netns, .. }) => {
                self.logged.lines += 1;
                self.full(record);
                match netns {
                    Some(netns) => full.named.extend([netns]),
                    None => full.unnamed = true,
                }
            }
            Some(Message::Suppressed { messages, .. }) => {
                if self.may_be_full(record) {
                    self.logged.suppressed += messages;
                } else {
                    self.logged.suppressed_elsewhere += messages;
                }
                self.reported = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const FULL: &str = "nf_conntrack: nf_conntrack: table full, dropping packet";

    fn record(second: u64, text: &str) -> Record<'_> {
        Record {
            sequence: 1,
            uptime: second * SECOND,
            by_kernel: true,
            text: text.as_bytes(),
        }
    }

    /// What is said of a log with lines of these seconds, if the observation starts at
    /// second 1,000 and reads each line when it is written.
    fn logged(before: &[(u64, &str)], after: &[(u64, &str)]) -> Logged {
        let mut account = Account::begin(Instant::now());
        for &(second, text) in before {
            account.note_before(&record(second, text));
        }
        for &(second, text) in after {
            let since_start = Duration::from_secs(second - 1000);
            account.note(
                &record(second, text),
                since_start,
                &mut FullTables::default(),
            );
        }
        account.logged
    }

    #[test]
    fn what_an_earlier_burst_had_suppressed_is_not_of_this_run() {
        let burst = [(700, FULL); 10];
        let mut run = vec![(1030, "net_ratelimit: 2590 callbacks suppressed")];
        run.extend([(1030, FULL); 10]);
        let expected = Logged {
            lines: 10,
            suppressed: 0,
            suppressed_elsewhere: 2590,
            lost: 0,
        };
        assert_eq!(logged(&burst, &run), expected);
        // The next message reports the rest of this run's own burst.
        run.push((1200, "net_ratelimit: 879 callbacks suppressed"));
        run.push((1200, FULL));
        let expected = Logged {
            lines: 11,
            suppressed: 879,
            ..expected
        };
        assert_eq!(logged(&burst, &run), expected);
    }

    #[test]
    fn a_burst_that_goes_on_at_the_start_is_of_this_run() {
        let burst = [(997, FULL); 10];
        let run = [
            (1002, "net_ratelimit: 500 callbacks suppressed"),
            (1002, FULL),
            (1300, "net_ratelimit: 40 callbacks suppressed"),
        ];
        let expected = Logged {
            lines: 1,
            suppressed: 540,
            suppressed_elsewhere: 0,
            lost: 0,
        };
        assert_eq!(logged(&burst, &run), expected);
        // However late it is reported.
        let late = [(1300, "net_ratelimit: 500 callbacks suppressed")];
        assert_eq!(logged(&burst, &late).suppressed, 500);
    }

    #[test]
    fn another_report_is_of_this_run_only_near_a_full_table() {
        let report = "net_ratelimit: 5 callbacks suppressed";
        let run = [(1010, FULL), (1020, report), (1070, report), (1071, report)];
        let Logged {
            suppressed,
            suppressed_elsewhere,
            ..
        } = logged(&[], &run);
        assert_eq!((suppressed, suppressed_elsewhere), (10, 5));
    }

    #[test]
    fn without_a_full_table_nothing_was_suppressed_in_this_run() {
        let run = [
            (1100, "net_ratelimit: 7 callbacks suppressed"),
            (1100, FULL),
        ];
        let Logged {
            lines,
            suppressed,
            suppressed_elsewhere,
            ..
        } = logged(&[(999, "Linux version 6.12.0")], &run);
        assert_eq!((lines, suppressed, suppressed_elsewhere), (1, 0, 7));
    }
}
