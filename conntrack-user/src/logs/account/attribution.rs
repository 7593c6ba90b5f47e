//! Attributes suppressed messages to the bursts of refused packets that they are of.
//!
//! The kernel reports how many messages it suppressed with the next message that
//! has the same rate limit, however late that is: the number is of the burst
//! before. It covers network messages of every kind, so it is an upper bound of
//! the packets refused.
//!
//! In a log that is an excerpt the message that came with a report can be missing. It
//! may have been about a full table, so the report counts however far the next one is.

use std::collections::BTreeMap;

use crate::{
    kernel::{
        generation::Generation,
        message::{Load, Message},
    },
    logs::{
        account::{
            counts::Counts,
            filter::Filter,
            host::Host,
            moment::Moment,
            rate_limit::RateLimit,
            reports::Report,
            sums::{Loaded, LogSums},
            tally::{Count, Place},
            traits::{Origin, Traits},
            year::YearTracker,
        },
        format::{
            event::{Event, What},
            stamp::Stamp,
        },
    },
};

/// The kernel writes a message right after it said how many it suppressed; syslog has
/// whole seconds.
const RIGHT_AFTER: i64 = 2_000_000;

/// Lines of two processors can be out of order by this much.
const DISORDER: u64 = 1_000_000;

/// Starts of conntrack that are kept, at most.
const LOADS: usize = 10_000;

/// Whether the kernel has started anew between two places of the log.
pub type BootBetween<'a> = &'a dyn Fn(u64, u64) -> bool;

/// Adds up one log.
#[derive(Debug)]
pub struct Attribution<'a> {
    years: YearTracker,
    hosts: BTreeMap<Option<Box<[u8]>>, Host>,
    counts: Counts<'a>,
    loads: Vec<Loaded>,
    /// Where the last full table's line ended, its host, time and place.
    last: Option<(u64, usize, Moment, Place)>,
    /// Whether each line of the log is seen, so that one can be missing.
    by_lines: bool,
    /// Where the line of a report that was kept ended, its host and time.
    kept: Option<(u64, Option<Box<[u8]>>, Moment)>,
    /// Suppressed messages that are of no full table.
    suppressed_elsewhere: u64,
    /// Reports that are counted because the line after them is missing.
    unfollowed: u64,
    traits: Traits,
    overshoot: i16,
}

impl<'a> Attribution<'a> {
    /// Begins a log.
    pub fn new(filter: &'a Filter, years: YearTracker) -> Self {
        Self {
            years,
            hosts: BTreeMap::new(),
            counts: Counts::new(filter),
            loads: Vec::new(),
            last: None,
            by_lines: false,
            kept: None,
            suppressed_elsewhere: 0,
            unfollowed: 0,
            traits: Traits::default(),
            overshoot: 0,
        }
    }
}

impl Attribution<'_> {
    /// Goes on with a part of the log, which was written last at `written`, and
    /// begins in this year if that is known.
    pub fn begin_part(&mut self, written: i64, begins: Option<i16>) {
        self.years.begin_part(written, begins);
        self.last = None;
        self.by_lines = false;
        self.kept = None;
    }

    /// The part is read line by line: what comes right after a line that matters is
    /// taken in, too.
    pub const fn reads_lines(&mut self) {
        self.by_lines = true;
    }

    /// Ends a part of so many bytes.
    pub fn end_part(&mut self, length: u64, boot_between: BootBetween<'_>) {
        self.overshoot = self.overshoot.max(self.years.overshoot());
        for host in self.hosts.values_mut() {
            // Places of one part mean nothing in the next.
            host.loaded = host
                .loaded
                .filter(|&(at, timed)| timed || !boot_between(at, length))
                .map(|(_, timed)| (0, timed));
        }
        self.end_limits(|written, timed| !timed && boot_between(written, length));
        for host in self.hosts.values_mut() {
            host.written = host.written.map(|(moment, _, timed)| (moment, 0, timed));
        }
    }

    /// The year that the part has come to.
    pub fn year(&self) -> Option<i16> {
        self.years.year()
    }

    /// Takes in the stamp of a line that says nothing, to keep track of years.
    pub fn pass(&mut self, stamp: Stamp) {
        self.years.moment_of(stamp);
    }

    /// Takes in what comes next.
    pub fn take(&mut self, event: &Event, boot_between: BootBetween<'_>) {
        let moment = self.years.moment_of(event.stamp);
        self.follow_report(event, moment);
        let (message, times) = match event.what {
            What::Repeated(times) => return self.repeated(event, times, moment),
            What::Other { left_of_report } => {
                let follows = self.last.as_ref().is_some_and(|last| last.0 == event.at.0);
                let Some(messages) = left_of_report.filter(|_| follows) else {
                    return;
                };
                return self.reported(event, moment, messages, true, boot_between);
            }
            What::DamagedReport(messages) => {
                return self.reported(event, moment, messages, true, boot_between);
            }
            What::Message(Message::Suppressed { messages, limiter }, times) => {
                self.traits.reported(limiter);
                if limiter.counts_tokens() {
                    self.with_host(event, boot_between, |_, host| host.limit.counts_tokens());
                }
                let messages = messages.saturating_mul(times);
                return self.reported(event, moment, messages, false, boot_between);
            }
            What::Message(message, times) => (message, times),
        };
        self.with_host(event, boot_between, |sums, host| match message {
            Message::Booted => sums.boot(host),
            Message::Loaded(load) => sums.loaded(host, event, moment, load, boot_between),
            Message::TableFull {
                netns,
                container,
                limit,
                generation,
                wording,
            } => {
                if host.wanted && sums.counts.filter.time(moment) {
                    let origin = Origin {
                        generation,
                        wording,
                        daemon: event.daemon,
                    };
                    sums.traits.full(origin, limit, times);
                }
                let place = Place::of(netns, container);
                if generation == Generation::IpConntrack {
                    host.limit.counts_tokens();
                }
                host.limit.written(times, moment, times > 1);
                host.written = Some((moment, event.at.1, is_timed(event)));
                host.place = place;
                sums.table_full(host, moment, place, times);
                sums.last = Some((event.at.1, host.number, moment, place));
            }
            Message::ExpectationsFull => {
                if host.wanted && sums.counts.filter.time(moment) {
                    sums.traits.expectations += times;
                }
            }
            Message::Suppressed { .. } => {}
        });
    }

    /// Ends the log.
    pub fn finish(mut self) -> LogSums {
        self.end_limits(|_, _| true);
        for mut host in std::mem::take(&mut self.hosts).into_values() {
            self.give_up(&mut host);
            match (host.unfollowed.take(), host.last_full) {
                (Some((report, times)), Some(full)) => {
                    self.unfollowed += times;
                    self.counts.report(&host, full, report);
                }
                (Some((report, _)), None) => self.suppressed_elsewhere += report.messages,
                (None, _) => {}
            }
        }
        LogSums {
            overshoot: self.overshoot,
            tally: self.counts.tally,
            loads: self.loads,
            suppressed_elsewhere: self.suppressed_elsewhere,
            unfollowed: self.unfollowed,
            filtered_out: self.counts.filtered_out,
            traits: self.traits,
        }
    }

    /// Has a message of a host taken in, after what it tells of the host's kernel.
    fn with_host(
        &mut self,
        event: &Event,
        boot_between: BootBetween<'_>,
        take: impl FnOnce(&mut Self, &mut Host),
    ) {
        let mut host = self.host(event);
        self.follow_boot(&mut host, event, boot_between);
        take(self, &mut host);
        self.hosts.insert(event.host.clone(), host);
    }

    fn host(&mut self, event: &Event) -> Host {
        if let Some(host) = self.hosts.get(&event.host) {
            return host.clone();
        }
        let name = event.host.as_deref();
        Host::new(self.counts.tally.host(name), self.counts.filter.host(name))
    }

    /// Notices that the kernel has started anew.
    fn follow_boot(&mut self, host: &mut Host, event: &Event, boot_between: BootBetween<'_>) {
        let unseen = host.limit.is_open()
            && host.written.is_some_and(|(_, written, timed)| {
                !(timed && is_timed(event)) && boot_between(written, event.at.0)
            });
        if unseen {
            self.end_limit(host);
        }
        let other = match (host.boot, event.boot) {
            (Some(known), Some(boot)) => known != boot,
            _ => event
                .uptime
                .is_some_and(|uptime| uptime.saturating_add(DISORDER) < host.uptime),
        };
        if other {
            self.boot(host);
        }
        host.boot = event.boot.or(host.boot);
        host.uptime = event.uptime.unwrap_or(host.uptime);
    }

    fn boot(&mut self, host: &mut Host) {
        self.give_up(host);
        self.end_limit(host);
        host.full = None;
        host.reported = false;
        host.uptime = 0;
        host.loaded = None;
    }

    fn loaded(
        &mut self,
        host: &mut Host,
        event: &Event,
        moment: Moment,
        load: Load,
        boot_between: BootBetween<'_>,
    ) {
        let timed = is_timed(event);
        let reload = host.loaded.is_some_and(|(before, before_timed)| {
            // Otherwise a new start would have been noticed.
            (timed && before_timed) || !boot_between(before, event.at.0)
        });
        host.loaded = Some((event.at.1, timed));
        if host.wanted && self.counts.filter.time(moment) && self.loads.len() < LOADS {
            self.loads.push(Loaded {
                moment,
                host: host.number,
                load,
                reload,
            });
        }
    }

    fn table_full(&mut self, host: &mut Host, moment: Moment, place: Place, times: u64) {
        let far = host.reports.take_far(moment);
        self.leave_out(host, far);
        for report in host.reports.take_all() {
            self.counts.report(host, report.moment, report);
        }
        if let Some((report, times)) = host.unfollowed.take() {
            self.unfollowed += times;
            self.counts.report(host, moment, report);
        }
        host.full = Some(moment);
        host.last_full = Some(moment);
        host.reported = false;
        self.counts
            .lines(host.number, host.wanted, moment, place, times);
    }

    /// Takes in a report of suppressed messages.
    fn reported(
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
    fn follow_report(&mut self, event: &Event, moment: Moment) {
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
    fn leave_out(&mut self, host: &mut Host, reports: Vec<Report>) {
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
    fn give_up(&mut self, host: &mut Host) {
        let left = host.reports.take_all();
        self.leave_out(host, left);
    }

    fn repeated(&mut self, event: &Event, times: u64, moment: Moment) {
        let Some((end, number, full, place)) = self.last else {
            return;
        };
        if end != event.at.0 {
            return;
        }
        let moment = if moment == Moment::Unknown {
            full
        } else {
            moment
        };
        let name: Option<Box<[u8]>> = self.counts.tally.name(number).map(Into::into);
        if let Some(host) = self.hosts.get_mut(&name) {
            host.limit.written(times, moment, true);
            host.written = host
                .written
                .map(|(_, _, timed)| (moment, event.at.1, timed));
        }
        let wanted = self.counts.filter.host(name.as_deref());
        self.counts.lines(number, wanted, moment, place, times);
        self.last = Some((event.at.1, number, moment, place));
    }

    /// Ends the limits of the hosts for which `ends` holds of the last line.
    fn end_limits(&mut self, ends: impl Fn(u64, bool) -> bool) {
        let ended: Vec<_> = self
            .hosts
            .iter()
            .filter(|(_, host)| host.limit.is_open())
            .filter(|(_, host)| {
                host.written
                    .is_some_and(|(_, written, timed)| ends(written, timed))
            })
            .map(|(name, host)| (name.clone(), host.clone()))
            .collect();
        for (name, mut host) in ended {
            self.end_limit(&mut host);
            self.hosts.insert(name, host);
        }
    }

    /// The kernel will report nothing more of what it suppressed.
    fn end_limit(&mut self, host: &mut Host) {
        if let Some((moment, _, _)) = host.written.take()
            && host.limit.is_open()
        {
            let count = Count {
                open: true,
                ..Count::default()
            };
            self.counts
                .count(host.number, host.wanted, moment, host.place, count);
        }
        host.limit = RateLimit::default();
    }
}

/// Whether the log says when a message came since its kernel's start, or which
/// start that was.
const fn is_timed(event: &Event) -> bool {
    event.uptime.is_some() || event.boot.is_some()
}
