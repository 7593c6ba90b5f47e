//! Which drops the messages held back stand for.
//!
//! The kernel says how many messages it has held back when it writes the next
//! one that is limited alike, however late that is: the number is of the burst
//! before. Any network message counts, so the number bounds what was refused
//! and does not tell it.

use std::collections::BTreeMap;

use crate::{
    kernel::message::{Load, Message},
    logs::{
        chronology::{Chronology, Moment},
        excluded::Excluded,
        limit::Limit,
        scan::{Event, What},
        stamp::Stamp,
        tally::{Count, Place, Tally},
    },
};

/// The kernel writes the message right after it said how many were held back,
/// within the window of its limit (`net.core.message_cost`, 5 s).
const WINDOW: i64 = 5_000_000;

/// How long after a full table messages held back may still be about it, while
/// others are written.
const ONGOING: i64 = 60_000_000;

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

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Microseconds since 1970.
    pub since: Option<i64>,
    /// Microseconds since 1970.
    pub until: Option<i64>,
    /// Names; none: all.
    pub hosts: Vec<String>,
    /// What another log has said already.
    pub covered: Option<Covered>,
}

/// Hosts whose messages another log holds, from a moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Microseconds since 1970.
    pub from: i64,
    /// Names, without domain.
    pub hosts: Vec<Box<[u8]>>,
}

/// The name of a host without its domain.
pub fn short(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == b'.').next().unwrap_or(name)
}

impl Filter {
    /// Whether it lets a moment pass. What has no time of day passes only if
    /// none is asked for.
    pub fn time(&self, moment: Moment) -> bool {
        match moment {
            Moment::Wall(at) => {
                self.since.is_none_or(|since| at >= since)
                    && self.until.is_none_or(|until| at < until)
            }
            _ => self.since.is_none() && self.until.is_none(),
        }
    }

    /// Whether another log has said already what a host said then.
    fn is_covered(&self, name: Option<&[u8]>, moment: Moment) -> bool {
        match (&self.covered, name, moment) {
            (Some(covered), Some(name), Moment::Wall(at)) => {
                at >= covered.from && covered.hosts.iter().any(|host| **host == *short(name))
            }
            _ => false,
        }
    }

    /// Whether it lets a host pass.
    pub fn host(&self, name: Option<&[u8]>) -> bool {
        self.hosts.is_empty()
            || name.is_some_and(|name| self.hosts.iter().any(|host| host.as_bytes() == name))
    }
}

/// What the messages of one host are held against.
#[derive(Clone, Debug)]
struct Host {
    number: usize,
    /// Whether it is asked for.
    wanted: bool,
    /// The last full table.
    full: Option<Moment>,
    /// Whether messages held back were reported since then.
    reported: bool,
    /// The last line about a full table, folded ones included: when, where in the
    /// log it ended, and whether the log says since when its kernel ran.
    written: Option<(Moment, u64, bool)>,
    /// Which table that line is about.
    place: Place,
    limit: Limit,
    /// Held back, and not yet known for whom.
    pending: Option<(u64, Moment)>,
    boot: Option<[u8; 32]>,
    uptime: u64,
    /// Where, in the log, conntrack was loaded last since the kernel started.
    loaded: Option<(u64, bool)>,
}

/// Whether the kernel has started anew between two places of the log.
pub type BootBetween<'a> = &'a dyn Fn(u64, u64) -> bool;

/// Adds up one log.
#[derive(Debug)]
pub struct Bursts<'a> {
    filter: &'a Filter,
    chronology: Chronology,
    hosts: BTreeMap<Option<Box<[u8]>>, Host>,
    tally: Tally,
    loads: Vec<Loaded>,
    /// Where the last full table's line ended, its host, time and place.
    last: Option<(u64, usize, Moment, Place)>,
    /// Messages held back for others.
    elsewhere: u64,
    excluded: Excluded,
    /// Whether `ip_conntrack` has written, and whether `nf_conntrack`.
    generations: Generations,
    overshoot: i16,
}

/// The kernels that have written, as far as their words tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    /// `ip_conntrack`: before 2.6.20 or so.
    pub ip: bool,
    /// `nf_conntrack`.
    pub nf: bool,
}

/// What one log has said.
#[derive(Debug)]
pub struct Said {
    /// The counts.
    pub tally: Tally,
    /// Starts of conntrack.
    pub loads: Vec<Loaded>,
    /// Messages held back for others.
    pub elsewhere: u64,
    /// Lines that were not asked for.
    pub excluded: Excluded,
    /// The kernels that have written.
    pub generations: Generations,
    /// Years by which the log runs past the time that it was written last.
    pub overshoot: i16,
}

impl<'a> Bursts<'a> {
    /// Begins a log.
    pub fn new(filter: &'a Filter, chronology: Chronology) -> Self {
        Self {
            filter,
            chronology,
            hosts: BTreeMap::new(),
            tally: Tally::default(),
            loads: Vec::new(),
            last: None,
            elsewhere: 0,
            excluded: Excluded::default(),
            generations: Generations::default(),
            overshoot: 0,
        }
    }
}

impl Bursts<'_> {
    /// Goes on with a part of the log, which was written last at `written`, and
    /// begins in this year if that is known.
    pub fn begin_part(&mut self, written: i64, begins: Option<i16>) {
        self.chronology.begin_part(written, begins);
        self.last = None;
    }

    /// Ends a part of so many bytes.
    pub fn end_part(&mut self, length: u64, boot_between: BootBetween<'_>) {
        self.overshoot = self.overshoot.max(self.chronology.overshoot());
        for host in self.hosts.values_mut() {
            // Places of one part mean nothing in the next.
            host.loaded = host
                .loaded
                .filter(|&(at, timed)| timed || !boot_between(at, length))
                .map(|(_, timed)| (0, timed));
        }
        self.settle(|written, timed| !timed && boot_between(written, length));
        for host in self.hosts.values_mut() {
            host.written = host.written.map(|(moment, _, timed)| (moment, 0, timed));
        }
    }

    /// The year that the part has come to.
    pub fn year(&self) -> Option<i16> {
        self.chronology.year()
    }

    /// Takes in the stamp of a line that says nothing, to keep track of years.
    pub fn pass(&mut self, stamp: Stamp) {
        self.chronology.place(stamp);
    }

    /// Takes in what comes next.
    pub fn take(&mut self, event: &Event, boot_between: BootBetween<'_>) {
        let moment = self.chronology.place(event.stamp);
        match event.what {
            What::Again(times) => self.again(event, times, moment),
            What::Said(message, times) => {
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
                        ip_conntrack,
                    } => {
                        self.generations.ip |= ip_conntrack;
                        self.generations.nf |= !ip_conntrack;
                        let place = match (netns, container) {
                            (Some(netns), _) => Place::Netns(netns),
                            (None, Some(container)) => Place::Container(container),
                            (None, None) => Place::Unnamed,
                        };
                        if ip_conntrack {
                            host.limit.counts_tokens();
                        }
                        host.limit.written(times, moment, times > 1);
                        host.written = Some((moment, event.at.1, is_timed(event)));
                        host.place = place;
                        self.full(&mut host, moment, place, times);
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
    pub fn finish(mut self) -> Said {
        self.settle(|_, _| true);
        for host in self.hosts.values() {
            self.elsewhere += host.pending.map_or(0, |(messages, _)| messages);
        }
        Said {
            overshoot: self.overshoot,
            tally: self.tally,
            loads: self.loads,
            elsewhere: self.elsewhere,
            excluded: self.excluded,
            generations: self.generations,
        }
    }

    fn host(&mut self, event: &Event) -> Host {
        if let Some(host) = self.hosts.get(&event.host) {
            return host.clone();
        }
        let name = event.host.as_deref();
        Host {
            number: self.tally.host(name),
            wanted: self.filter.host(name),
            full: None,
            reported: false,
            written: None,
            place: Place::Unnamed,
            limit: Limit::default(),
            pending: None,
            boot: None,
            uptime: 0,
            loaded: None,
        }
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

    fn full(&mut self, host: &mut Host, moment: Moment, place: Place, times: u64) {
        if let Some((messages, at)) = host.pending.take() {
            if moment.since(at).is_none_or(|after| after.abs() <= WINDOW) {
                self.hold(host, at, messages);
            } else {
                self.elsewhere += messages;
            }
        }
        host.full = Some(moment);
        host.reported = false;
        self.line(host.number, host.wanted, moment, place, times);
    }

    fn suppressed(&mut self, host: &mut Host, moment: Moment, messages: u64) {
        self.give_up(host);
        match host.full {
            Some(full) if !host.reported => {
                host.reported = true;
                self.hold(host, full, messages);
            }
            Some(full)
                if moment
                    .since(full)
                    .is_some_and(|after| after.abs() <= ONGOING) =>
            {
                self.hold(host, moment, messages);
            }
            _ => host.pending = Some((messages, moment)),
        }
    }

    /// The messages held back were others' after all.
    fn give_up(&mut self, host: &mut Host) {
        self.elsewhere += host.pending.take().map_or(0, |(messages, _)| messages);
    }

    fn again(&mut self, event: &Event, times: u64, moment: Moment) {
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
        self.line(number, wanted, moment, place, times);
        self.last = Some((event.at.1, number, moment, place));
    }

    /// Ends the limits of the hosts for which `ends` holds of the last line.
    fn settle(&mut self, ends: impl Fn(u64, bool) -> bool) {
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

    /// Nothing will be told any more of what the kernel has held back.
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
        host.limit = Limit::default();
    }

    fn line(&mut self, host: usize, wanted: bool, moment: Moment, place: Place, lines: u64) {
        let count = Count {
            lines,
            ..Count::default()
        };
        self.count(host, wanted, moment, place, count);
    }

    fn hold(&mut self, host: &Host, moment: Moment, suppressed: u64) {
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
            self.excluded.time(moment, count.lines);
        } else if count.lines > 0 {
            self.excluded.host(name, count.lines);
        }
    }
}

/// Whether the log says since when, or in which run, a kernel said something.
const fn is_timed(event: &Event) -> bool {
    event.uptime.is_some() || event.boot.is_some()
}
