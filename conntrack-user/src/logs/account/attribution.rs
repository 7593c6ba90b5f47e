//! Attributes suppressed messages to the bursts of refused packets that they are of.
//!
//! The kernel reports how many messages it suppressed with the next message that
//! has the same rate limit, however late that is: the number is of the burst
//! before. It covers network messages of every kind, so it is an upper bound of
//! the packets refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    kernel::{
        generation::Generation,
        message::{Load, Message},
    },
    logs::{
        account::{
            filter::Filter,
            filtered_out::FilteredOut,
            host::Host,
            moment::Moment,
            rate_limit::RateLimit,
            tally::{Count, Place, Tally},
            year::YearTracker,
        },
        format::{
            event::{Event, What},
            stamp::Stamp,
        },
    },
};

/// The kernel writes the message right after it said how many were suppressed,
/// within the window of its limit (`net.core.message_cost`, 5 s).
const REPORT_WINDOW: i64 = 5_000_000;

/// How long after a full table suppressed messages may still be about it, while
/// others are written.
const BURST_WINDOW: i64 = 60_000_000;

/// Lines of two processors can be out of order by this much.
const DISORDER: u64 = 1_000_000;

/// A start of conntrack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// When.
    pub moment: Moment,
    /// On which host.
    pub host: usize,
    /// What it said.
    pub load: Load,
    /// Whether the same kernel had loaded it before: the limit was reset.
    pub reload: bool,
}

/// Starts of conntrack that are kept, at most.
const LOADS: usize = 10_000;

/// Whether the kernel has started anew between two places of the log.
pub type BootBetween<'a> = &'a dyn Fn(u64, u64) -> bool;

/// Adds up one log.
#[derive(Debug)]
pub struct Attribution<'a> {
    filter: &'a Filter,
    years: YearTracker,
    hosts: BTreeMap<Option<Box<[u8]>>, Host>,
    tally: Tally,
    loads: Vec<Loaded>,
    /// Where the last full table's line ended, its host, time and place.
    last: Option<(u64, usize, Moment, Place)>,
    /// Suppressed messages that are of no full table.
    suppressed_elsewhere: u64,
    filtered_out: FilteredOut,
    full: BTreeSet<Generation>,
    overshoot: i16,
}

/// The sums of one log.
#[derive(Debug)]
pub struct LogSums {
    /// The counts.
    pub tally: Tally,
    /// Starts of conntrack.
    pub loads: Vec<Loaded>,
    /// Suppressed messages that are of no full table.
    pub suppressed_elsewhere: u64,
    /// Lines that the options filter out.
    pub filtered_out: FilteredOut,
    /// The generations of conntrack that wrote lines about a full table.
    pub full: BTreeSet<Generation>,
    /// Years by which the log runs past the time that it was written last.
    pub overshoot: i16,
}

impl<'a> Attribution<'a> {
    /// Begins a log.
    pub fn new(filter: &'a Filter, years: YearTracker) -> Self {
        Self {
            filter,
            years,
            hosts: BTreeMap::new(),
            tally: Tally::default(),
            loads: Vec::new(),
            last: None,
            suppressed_elsewhere: 0,
            filtered_out: FilteredOut::default(),
            full: BTreeSet::new(),
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
        match event.what {
            What::Repeated(times) => self.repeated(event, times, moment),
            What::Message(message, times) => {
                let mut host = self.host(event);
                self.follow_boot(&mut host, event, boot_between);
                match message {
                    Message::Booted => self.boot(&mut host),
                    Message::Loaded(load) => {
                        self.loaded(&mut host, event, moment, load, boot_between);
                    }
                    Message::TableFull {
                        netns,
                        container,
                        generation,
                    } => {
                        self.full.insert(generation);
                        let place = match (netns, container) {
                            (Some(netns), _) => Place::Netns(netns),
                            (None, Some(container)) => Place::Container(container),
                            (None, None) => Place::Unnamed,
                        };
                        if generation == Generation::IpConntrack {
                            host.limit.counts_tokens();
                        }
                        host.limit.written(times, moment, times > 1);
                        host.written = Some((moment, event.at.1, is_timed(event)));
                        host.place = place;
                        self.table_full(&mut host, moment, place, times);
                        self.last = Some((event.at.1, host.number, moment, place));
                    }
                    Message::Suppressed {
                        messages,
                        by_tokens,
                    } => {
                        if by_tokens {
                            host.limit.counts_tokens();
                        }
                        host.limit.reported(moment);
                        self.suppressed(&mut host, moment, messages.saturating_mul(times));
                    }
                    Message::ExpectationsFull => {}
                }
                self.hosts.insert(event.host.clone(), host);
            }
        }
    }

    /// Ends the log.
    pub fn finish(mut self) -> LogSums {
        self.end_limits(|_, _| true);
        for host in self.hosts.values() {
            self.suppressed_elsewhere += host.pending.map_or(0, |(messages, _)| messages);
        }
        LogSums {
            overshoot: self.overshoot,
            tally: self.tally,
            loads: self.loads,
            suppressed_elsewhere: self.suppressed_elsewhere,
            filtered_out: self.filtered_out,
            full: self.full,
        }
    }

    fn host(&mut self, event: &Event) -> Host {
        if let Some(host) = self.hosts.get(&event.host) {
            return host.clone();
        }
        let name = event.host.as_deref();
        Host::new(self.tally.host(name), self.filter.host(name))
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
        if host.wanted && self.filter.time(moment) && self.loads.len() < LOADS {
            self.loads.push(Loaded {
                moment,
                host: host.number,
                load,
                reload,
            });
        }
    }

    fn table_full(&mut self, host: &mut Host, moment: Moment, place: Place, times: u64) {
        if let Some((messages, at)) = host.pending.take() {
            if moment
                .since(at)
                .is_none_or(|after| after.abs() <= REPORT_WINDOW)
            {
                self.count_suppressed(host, at, messages);
            } else {
                self.suppressed_elsewhere += messages;
            }
        }
        host.full = Some(moment);
        host.reported = false;
        self.count_lines(host.number, host.wanted, moment, place, times);
    }

    fn suppressed(&mut self, host: &mut Host, moment: Moment, messages: u64) {
        self.give_up(host);
        match host.full {
            Some(full) if !host.reported => {
                host.reported = true;
                self.count_suppressed(host, full, messages);
            }
            Some(full)
                if moment
                    .since(full)
                    .is_some_and(|after| after.abs() <= BURST_WINDOW) =>
            {
                self.count_suppressed(host, moment, messages);
            }
            _ => host.pending = Some((messages, moment)),
        }
    }

    /// The pending messages are of no full table.
    fn give_up(&mut self, host: &mut Host) {
        self.suppressed_elsewhere += host.pending.take().map_or(0, |(messages, _)| messages);
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
        let name: Option<Box<[u8]>> = self.tally.name(number).map(Into::into);
        if let Some(host) = self.hosts.get_mut(&name) {
            host.limit.written(times, moment, true);
            host.written = host
                .written
                .map(|(_, _, timed)| (moment, event.at.1, timed));
        }
        let wanted = self.filter.host(name.as_deref());
        self.count_lines(number, wanted, moment, place, times);
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
            self.count(host.number, host.wanted, moment, host.place, count);
        }
        host.limit = RateLimit::default();
    }

    fn count_lines(&mut self, host: usize, wanted: bool, moment: Moment, place: Place, lines: u64) {
        let count = Count {
            lines,
            ..Count::default()
        };
        self.count(host, wanted, moment, place, count);
    }

    fn count_suppressed(&mut self, host: &Host, moment: Moment, suppressed: u64) {
        let count = Count {
            suppressed,
            ..Count::default()
        };
        self.count(host.number, host.wanted, moment, Place::Unnamed, count);
    }

    fn count(&mut self, host: usize, wanted: bool, moment: Moment, place: Place, count: Count) {
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

/// Whether the log says when a message came since its kernel's start, or which
/// start that was.
const fn is_timed(event: &Event) -> bool {
    event.uptime.is_some() || event.boot.is_some()
}
