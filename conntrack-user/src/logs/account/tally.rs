//! What is added up: per host, minute and place, in bounded memory.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::logs::account::moment::Moment;

/// The limit that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Not named: of the host itself, or the kernel names none.
    Unnamed,
    /// A network namespace, by its inode.
    Netns(u32),
    /// An OpenVZ container, by its number.
    Container(u32),
}

impl Place {
    /// What a message names.
    pub const fn of(netns: Option<u32>, container: Option<u32>) -> Self {
        match (netns, container) {
            (Some(netns), _) => Self::Netns(netns),
            (None, Some(container)) => Self::Container(container),
            (None, None) => Self::Unnamed,
        }
    }
}

/// A number of messages that the kernel wrote, and that it suppressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// "Table full", one line for each refusal that was written.
    pub lines: u64,
    /// Messages suppressed next to them, of whatever kind.
    pub suppressed: u64,
    /// Whether more may have been suppressed: the kernel has not reported it.
    pub open: bool,
    /// Whether more may have been suppressed: a report of it is damaged.
    pub damaged: bool,
}

impl Count {
    /// Adds another.
    pub const fn add(&mut self, other: Self) {
        self.lines = self.lines.saturating_add(other.lines);
        self.suppressed = self.suppressed.saturating_add(other.suppressed);
        self.open |= other.open;
        self.damaged |= other.damaged;
    }

    /// The larger of both, where both are of the same messages.
    fn at_least(&mut self, other: Self) {
        // The one that goes on further knows.
        let known = |count: &Self| (count.lines, count.suppressed);
        self.open = match known(self).cmp(&known(&other)) {
            std::cmp::Ordering::Less => other.open,
            std::cmp::Ordering::Equal => self.open && other.open,
            std::cmp::Ordering::Greater => self.open,
        };
        // What one writing lost the other has.
        self.damaged &= other.damaged;
        self.lines = self.lines.max(other.lines);
        self.suppressed = self.suppressed.max(other.suppressed);
    }
}

/// Bounds of a number of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PacketBounds {
    /// One for each line.
    pub at_least: u64,
    /// And one for each suppressed message that the kernel reported.
    pub at_most: u64,
    /// Whether the kernel may have suppressed more, so that `at_most` is not an upper
    /// bound: it has not reported it, or the report is damaged.
    pub open: bool,
}

impl From<Count> for PacketBounds {
    fn from(count: Count) -> Self {
        Self {
            at_least: count.lines,
            at_most: count.lines.saturating_add(count.suppressed),
            open: count.open || count.damaged,
        }
    }
}

/// Whom and when a count is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    host: usize,
    minute: Moment,
    place: Place,
}

/// Hosts kept apart, at most.
const HOSTS: usize = 10_000;

/// Counts kept apart, at most: a year of minutes with drops. Those beyond lose
/// their minute and place, not their host.
const COUNTS: usize = 500_000;

/// How a host is called that is one too many.
const MORE: &[u8] = b"(more hosts)";

/// Counts of one log, or of several.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    hosts: Vec<Option<Box<[u8]>>>,
    by_name: BTreeMap<Option<Box<[u8]>>, usize>,
    counts: BTreeMap<Key, Count>,
    span: BTreeMap<(usize, Clock), (Moment, Moment)>,
}

/// The clock that a moment is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Clock {
    Wall,
    Uptime,
}

impl Tally {
    /// The number of a host.
    pub fn host(&mut self, name: Option<&[u8]>) -> usize {
        let name = match name {
            Some(_)
                if self.hosts.len() >= HOSTS
                    && !self.by_name.contains_key(&name.map(Box::from)) =>
            {
                Some(MORE)
            }
            name => name,
        };
        let name: Option<Box<[u8]>> = name.map(Into::into);
        if let Some(&host) = self.by_name.get(&name) {
            return host;
        }
        self.hosts.push(name.clone());
        self.by_name.insert(name, self.hosts.len() - 1);
        self.hosts.len() - 1
    }

    /// The name of a host.
    pub fn name(&self, host: usize) -> Option<&[u8]> {
        self.hosts.get(host)?.as_deref()
    }

    /// Counts messages of a moment.
    pub fn count(&mut self, host: usize, moment: Moment, place: Place, count: Count) {
        let mut key = Key {
            host,
            minute: moment.minute(),
            place,
        };
        if self.counts.len() >= COUNTS && !self.counts.contains_key(&key) {
            key.minute = Moment::Unknown;
            key.place = Place::Unnamed;
        }
        self.counts.entry(key).or_default().add(count);
        if count.lines > 0 {
            self.stretch(host, moment);
        }
    }

    fn stretch(&mut self, host: usize, moment: Moment) {
        let clock = match moment {
            Moment::Wall(_) => Clock::Wall,
            Moment::Uptime(_) => Clock::Uptime,
            Moment::Unknown => return,
        };
        let span = self.span.entry((host, clock)).or_insert((moment, moment));
        span.0 = span.0.min(moment);
        span.1 = span.1.max(moment);
    }

    /// Takes in another log. Unless they are `disjoint`, two logs of one host are
    /// two writings of the same messages: what both have of a minute is counted
    /// once. Names that any host may have tell nothing.
    pub fn merge(&mut self, other: &Self, disjoint: bool) {
        for (key, &count) in &other.counts {
            let name = other.name(key.host);
            let host = self.host(name);
            let key = Key { host, ..*key };
            let Some(sum) = self.counts.get_mut(&key) else {
                self.counts.insert(key, count);
                continue;
            };
            if !disjoint && is_unique(name) && key.minute != Moment::Unknown {
                sum.at_least(count);
            } else {
                sum.add(count);
            }
        }
        for (&(host, _), &(first, last)) in &other.span {
            let host = self.host(other.name(host));
            self.stretch(host, first);
            self.stretch(host, last);
        }
    }

    /// Sums by minute.
    pub fn by_minute(&self) -> BTreeMap<Moment, Count> {
        self.sum(|key| key.minute)
    }

    /// The minutes and hosts with such a count, in order.
    pub fn minutes_with(&self, such: impl Fn(&Count) -> bool) -> Vec<(Moment, Option<&[u8]>)> {
        let mut minutes: Vec<_> = self
            .counts
            .iter()
            .filter(|(_, count)| such(count))
            .map(|(key, _)| (key.minute, self.name(key.host)))
            .collect();
        minutes.sort_unstable();
        minutes.dedup();
        minutes
    }

    /// Sums by host.
    pub fn by_host(&self) -> BTreeMap<usize, Count> {
        self.sum(|key| key.host)
    }

    /// Sums by place. Suppressed messages have no place.
    pub fn by_place(&self) -> BTreeMap<Place, u64> {
        let mut sums = self.sum(|key| key.place);
        sums.retain(|_, count| count.lines > 0);
        sums.into_iter()
            .map(|(place, count)| (place, count.lines))
            .collect()
    }

    /// The sum of all.
    pub fn total(&self) -> Count {
        self.sum(|_| ()).remove(&()).unwrap_or_default()
    }

    fn sum<K: Ord>(&self, by: impl Fn(&Key) -> K) -> BTreeMap<K, Count> {
        let mut sums = BTreeMap::new();
        for (key, &count) in &self.counts {
            let sum: &mut Count = sums.entry(by(key)).or_default();
            sum.add(count);
        }
        sums
    }

    /// First and last line of a host, or of all, by the wall clock or, where
    /// only that is known, since the kernel's start.
    pub fn span(&self, host: Option<usize>) -> Option<(Moment, Moment)> {
        let spans = |clock| {
            self.span
                .iter()
                .filter(move |((of, by), _)| *by == clock && host.is_none_or(|host| host == *of))
                .map(|(_, span)| *span)
                .reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
        };
        spans(Clock::Wall).or_else(|| spans(Clock::Uptime))
    }
}

/// Whether a name is one host's.
fn is_unique(name: Option<&[u8]>) -> bool {
    name.is_some_and(|name| name != MORE && name != b"(none)" && !name.starts_with(b"localhost"))
}
