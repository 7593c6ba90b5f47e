//! The lines about a full table that the options filter out.

use std::collections::BTreeSet;

use crate::logs::account::moment::Moment;

/// Hosts that are named, at most.
const HOSTS: usize = 10;

/// Lines about a full table that the options filter out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilteredOut {
    /// Lines of other hosts.
    pub by_host: u64,
    /// Some of these hosts; none: not named.
    pub hosts: BTreeSet<Option<Box<[u8]>>>,
    /// Lines of other times, of hosts that were asked for.
    pub by_time: u64,
    /// The first and the last of these, in microseconds since 1970, as far as
    /// they have a time.
    pub span: Option<(i64, i64)>,
}

impl FilteredOut {
    /// Counts lines of a host that was not asked for.
    pub fn host(&mut self, name: Option<&[u8]>, lines: u64) {
        self.by_host = self.by_host.saturating_add(lines);
        if self.hosts.len() < HOSTS {
            self.hosts.insert(name.map(Into::into));
        }
    }

    /// Counts lines of a time that was not asked for.
    pub fn time(&mut self, moment: Moment, lines: u64) {
        self.by_time = self.by_time.saturating_add(lines);
        if let Moment::Wall(at) = moment {
            self.stretch((at, at));
        }
    }

    fn stretch(&mut self, (first, last): (i64, i64)) {
        let span = self.span.get_or_insert((first, last));
        *span = (span.0.min(first), span.1.max(last));
    }

    /// Adds those of another log.
    pub fn add(&mut self, other: Self) {
        self.by_host = self.by_host.saturating_add(other.by_host);
        self.by_time = self.by_time.saturating_add(other.by_time);
        self.hosts.extend(other.hosts);
        while self.hosts.len() > HOSTS {
            self.hosts.pop_last();
        }
        if let Some(span) = other.span {
            self.stretch(span);
        }
    }
}
