//! The counts of one log, of the lines that are asked for.

use crate::logs::account::{
    filter::Filter,
    filtered_out::FilteredOut,
    host::Host,
    moment::Moment,
    reports::Report,
    tally::{Count, Place, Tally},
};

/// Counts what is asked for, and how much is not.
#[derive(Debug)]
pub(super) struct Counts<'a> {
    /// What is asked for.
    pub(super) filter: &'a Filter,
    /// What was counted.
    pub(super) tally: Tally,
    /// What was not.
    pub(super) filtered_out: FilteredOut,
}

impl<'a> Counts<'a> {
    /// Begins.
    pub(super) fn new(filter: &'a Filter) -> Self {
        Self {
            filter,
            tally: Tally::default(),
            filtered_out: FilteredOut::default(),
        }
    }
}

impl Counts<'_> {
    /// Counts lines about a full table.
    pub(super) fn lines(
        &mut self,
        host: usize,
        wanted: bool,
        moment: Moment,
        place: Place,
        lines: u64,
    ) {
        let count = Count {
            lines,
            ..Count::default()
        };
        self.count(host, wanted, moment, place, count);
    }

    /// Counts what a report says, in the minute of `moment`.
    pub(super) fn report(&mut self, host: &Host, moment: Moment, report: Report) {
        let count = Count {
            suppressed: report.messages,
            damaged: report.damaged,
            ..Count::default()
        };
        self.count(host.number, host.wanted, moment, Place::Unnamed, count);
    }

    /// Counts anything of a host.
    pub(super) fn count(
        &mut self,
        host: usize,
        wanted: bool,
        moment: Moment,
        place: Place,
        count: Count,
    ) {
        let name = self.tally.name(host);
        if self.filter.is_covered(name, moment) {
            return;
        }
        if wanted && self.filter.time(moment) {
            self.tally.count(host, moment, place, count);
        } else if count.lines > 0 && wanted {
            self.filtered_out.time(moment, count.lines);
        } else if count.lines > 0 {
            self.filtered_out.host(name, count.lines);
        }
    }
}
