//! The reports of suppressed messages, and where one is missing.

use crate::logs::{
    account::{
        attribution::{Attribution, BootBetween},
        host::Host,
        moment::Moment,
        reports::Report,
        tally::Count,
    },
    format::event::{Event, What},
};

/// The kernel writes a message right after it said how many it suppressed; syslog has
/// whole seconds.
const RIGHT_AFTER: i64 = 2_000_000;

impl Attribution<'_> {
    /// Takes in a report of suppressed messages.
    pub(super) fn reported(
        &mut self,
        event: &Event,
        moment: Moment,
        messages: u64,
        damaged: bool,
        boot_between: BootBetween<'_>,
    ) {
        let report = Report {
            moment,
            messages,
            damaged,
            followed: !self.by_lines,
        };
        self.with_host(event, boot_between, |sums, host| {
            sums.excerpt.has_others();
            host.limit.reported(moment);
            let far = host.reports.take_far(moment);
            sums.leave_out(host, far);
            match host.full {
                Some(full) if !host.reported => {
                    host.reported = true;
                    sums.counts.report(host, full, report);
                }
                Some(full) if report.is_near(full) => sums.counts.report(host, moment, report),
                _ => {
                    host.reports.keep(report);
                    sums.kept = Some((event.at.1, event.host.clone(), moment));
                }
            }
        });
    }

    /// Notices that the line came right after a report, so that it, or one like it, is
    /// what the kernel wrote with the report. A line of another host that is searched for
    /// says nothing: an excerpt has it, too.
    pub(super) fn follow_report(&mut self, event: &Event, moment: Moment) {
        let Some((end, host, at)) = self.kept.take() else {
            return;
        };
        let any_host = matches!(event.what, What::Other { .. });
        let follows = end == event.at.0
            && (any_host || event.host == host)
            && moment
                .since(at)
                .is_none_or(|after| after.abs() <= RIGHT_AFTER);
        if follows && let Some(host) = self.hosts.get_mut(&host) {
            host.reports.last_is_followed();
        }
    }

    /// No full table has come near these reports.
    pub(super) fn leave_out(&mut self, host: &mut Host, reports: Vec<Report>) {
        for report in reports {
            if report.followed {
                self.suppressed_elsewhere += report.messages;
            } else if self.counts.filter.time(report.moment) {
                match &mut host.unfollowed {
                    Some((sum, times)) => {
                        sum.add(report);
                        *times += 1;
                    }
                    None => host.unfollowed = Some((report, 1)),
                }
            }
        }
    }

    /// No full table will come near the reports that are left.
    pub(super) fn give_up(&mut self, host: &mut Host) {
        let left = host.reports.take_all();
        self.leave_out(host, left);
    }

    /// Nothing was reported of the last burst, which reached the limit.
    pub(super) fn silent(&mut self, host: &Host) {
        self.excerpt.silent();
        if let Some((moment, _, _)) = host.written {
            let count = Count {
                silent: true,
                ..Count::default()
            };
            self.counts
                .count(host.number, host.wanted, moment, host.place, count);
        }
    }
}
