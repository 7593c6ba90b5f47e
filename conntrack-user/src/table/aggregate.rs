//! A table added up: by source, destination, service, state and so on, in
//! memory that does not grow with the table.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::table::{
    entry::{Address, Class, Entry, Eviction, Progress, Rules, TCP_ESTABLISHED},
    heavy_hitters::{Count, HeavyHitters},
    idle::{Estimate, Pair, SecondLook, estimate},
    owners::Owners,
    sample::Sample,
    timeouts::Timeouts,
};

/// Keys of each of the three great groups, where each is to be shown: 7/8 of
/// 2^17, some 6 MiB each.
pub const MANY_KEYS: usize = 114_688;

/// The same where only the heaviest ones matter: some 1 MiB each.
pub const HEAVY_KEYS: usize = 14_336;

/// Zones and marks that have a count of their own.
const FEW_KEYS: usize = 3_584;

/// Upper ends of the ranges of remaining time and age, in seconds; the last
/// range has none.
pub const RANGES: [u32; 7] = [10, 30, 120, 600, 3600, 86_400, 432_000];

/// What a service is: destination, protocol, port (or ICMP type and code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// Address, before NAT.
    pub address: Address,
    /// IP protocol.
    pub protocol: u8,
    /// Port, or ICMP type × 256 + code.
    pub port: u16,
}

/// Protocol, state and progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// IP protocol.
    pub protocol: u8,
    /// State, of protocols that have states.
    pub state: Option<u8>,
    /// How far the flow has come.
    pub progress: Progress,
}

/// Numbers of entries by who may evict them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Evictable {
    /// `early_drop` may, when the table is full.
    pub early_drop: u64,
    /// The garbage collector may, once the table has been full.
    pub collector: u64,
    /// Nobody may.
    pub nobody: u64,
}

/// Numbers of entries by how far they have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ByProgress {
    /// Safe from `early_drop`.
    pub assured: u64,
    /// Answered, not safe.
    pub replied: u64,
    /// Never answered.
    pub unreplied: u64,
}

/// Numbers of entries by range of time: one more than [`RANGES`].
pub type Histogram = [u64; RANGES.len() + 1];

/// What does not change while a table is added up.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The kernel's rules of eviction.
    pub rules: Rules,
    /// The namespace's timeouts.
    pub timeouts: Timeouts,
    /// Wall-clock time at the begin of the dump, in nanoseconds since 1970.
    pub now: u64,
    /// Seconds without a packet from which on an established connection is idle.
    pub idle_after: u32,
    /// Keys that each of the three great groups has room for.
    pub keys: usize,
}

/// The sums.
#[derive(Debug)]
pub struct Aggregate {
    /// Entries.
    pub entries: u64,
    /// By who may evict them.
    pub evictable: Evictable,
    /// By how far they have come.
    pub progress: ByProgress,
    /// Established TCP connections that are idle, by this one look.
    pub idle_established: u64,
    /// Established TCP connections of which one look cannot tell it.
    pub idle_unknown: u64,
    /// Some of both.
    pub in_question: Sample,
    /// What a second look at these has shown, if there was one.
    pub second: Option<SecondLook>,
    /// Established TCP connections.
    pub established: u64,
    /// By source address.
    pub sources: HeavyHitters<Address>,
    /// By destination address.
    pub destinations: HeavyHitters<Address>,
    /// By service.
    pub services: HeavyHitters<Service>,
    /// By zone.
    pub zones: HeavyHitters<u16>,
    /// By mark.
    pub marks: HeavyHitters<u32>,
    /// By owner of the source, or else of who answers.
    pub owners: HashMap<u32, Count, RandomState>,
    /// By protocol, state and progress: as many keys as these have values.
    pub states: HashMap<State, u64, RandomState>,
    /// By timeout that could be shorter: entries that have been idle for longer
    /// than the shortest that can be advised.
    pub overdue: Vec<(Class, u32, u32, u64)>,
    /// By time until they expire.
    pub remaining: Histogram,
    /// Entries whose remaining time is not known.
    pub no_timeout: u64,
    /// By age.
    pub age: Histogram,
    /// Entries whose age is known.
    pub aged: u64,
    circumstances: Circumstances,
}

impl Aggregate {
    /// Nothing yet.
    pub fn new(circumstances: Circumstances) -> Self {
        let overdue = circumstances
            .timeouts
            .long()
            .map(|(class, now, shortest)| (class, now, shortest, 0))
            .collect();
        Self {
            entries: 0,
            evictable: Evictable::default(),
            progress: ByProgress::default(),
            idle_established: 0,
            idle_unknown: 0,
            in_question: Sample::default(),
            second: None,
            established: 0,
            sources: HeavyHitters::with_capacity(circumstances.keys),
            destinations: HeavyHitters::with_capacity(circumstances.keys),
            services: HeavyHitters::with_capacity(circumstances.keys),
            zones: HeavyHitters::with_capacity(FEW_KEYS),
            marks: HeavyHitters::with_capacity(FEW_KEYS),
            owners: HashMap::default(),
            states: HashMap::default(),
            overdue,
            remaining: Histogram::default(),
            no_timeout: 0,
            age: Histogram::default(),
            aged: 0,
            circumstances,
        }
    }

    /// Adds an entry.
    pub fn add(&mut self, entry: &Entry, owners: &Owners) {
        self.entries += 1;
        let progress = entry.progress();
        let eviction = entry.eviction(self.circumstances.rules);
        self.count_kinds(progress, eviction);
        self.times(entry);
        let idle_established = entry.is_established() && self.is_idle(entry);
        let count = Count {
            entries: 1,
            evictable: u32::from(eviction == Eviction::EarlyDrop),
            unreplied: u32::from(progress == Progress::Unreplied),
            idle: u32::from(idle_established),
        };
        self.sources.add(entry.src, count);
        self.destinations.add(entry.dst, count);
        let service = Service {
            address: entry.dst,
            protocol: entry.protocol,
            port: entry.dport,
        };
        self.services.add(service, count);
        self.zones.add(entry.zone, count);
        self.marks.add(entry.mark, count);
        let owner = owners
            .index_of(entry.src)
            .or_else(|| owners.index_of(entry.reply_src));
        if let Some(owner) = owner {
            self.owners.entry(owner).or_default().add(count);
        }
        let state = State {
            protocol: entry.protocol,
            state: entry.state,
            progress,
        };
        *self.states.entry(state).or_default() += 1;
    }

    fn count_kinds(&mut self, progress: Progress, eviction: Eviction) {
        match progress {
            Progress::Unreplied => self.progress.unreplied += 1,
            Progress::Replied => self.progress.replied += 1,
            Progress::Assured => self.progress.assured += 1,
        }
        match eviction {
            Eviction::EarlyDrop => self.evictable.early_drop += 1,
            Eviction::Collector => self.evictable.collector += 1,
            Eviction::Nobody => self.evictable.nobody += 1,
        }
    }

    /// Whether an established connection is idle, by this look. Those that are,
    /// and those of which it is not known, are counted, and some remembered.
    fn is_idle(&mut self, entry: &Entry) -> bool {
        self.established += 1;
        let Circumstances {
            timeouts,
            now,
            idle_after,
            ..
        } = &self.circumstances;
        match estimate(&entry.look(*now), &timeouts.established()) {
            Estimate::For(idle) if idle < *idle_after => return false,
            Estimate::For(_) => self.idle_established += 1,
            Estimate::Unknown => {
                self.idle_unknown += 1;
                self.in_question.offer(entry);
                return false;
            }
        }
        self.in_question.offer(entry);
        true
    }

    /// Takes back what one look has told of idle connections: nothing shows that the
    /// timeout in force is the one that they were judged by.
    pub fn doubt_idle(&mut self) {
        self.idle_unknown += std::mem::take(&mut self.idle_established);
        self.leave_idle(0, 1);
        for (class, _, _, entries) in &mut self.overdue {
            if *class == Class::Tcp(TCP_ESTABLISHED) {
                *entries = 0;
            }
        }
    }

    /// The chance that `early_drop` finds an entry to evict, if these are all entries of
    /// the namespace: see [`Search::chance`](crate::table::early_drop::Search::chance).
    pub fn eviction_chance(&self, buckets: u64) -> f64 {
        let search = self.circumstances.rules.search;
        search.chance(self.evictable.early_drop, self.entries, buckets)
    }

    /// Judges connections in question that were looked at twice. Of each key only
    /// the part stays idle that was found to be so.
    pub fn judge(&mut self, pairs: &[Pair]) {
        let Circumstances {
            timeouts,
            idle_after,
            ..
        } = &self.circumstances;
        let second = SecondLook::of(pairs, &timeouts.established(), *idle_after);
        if second.looked > 0 {
            self.leave_idle(second.idle, second.looked);
        }
        self.second = Some(second);
    }

    /// Leaves only a part of the idle connections of each key, as
    /// [`HeavyHitters::leave_idle`].
    fn leave_idle(&mut self, idle: u64, looked: u64) {
        self.sources.leave_idle(idle, looked);
        self.destinations.leave_idle(idle, looked);
        self.services.leave_idle(idle, looked);
        self.zones.leave_idle(idle, looked);
        self.marks.leave_idle(idle, looked);
        for count in self.owners.values_mut() {
            count.leave_idle(idle, looked);
        }
    }

    /// Adds what is known of an entry's times. Each packet sets the remaining time
    /// anew to the timeout of the state.
    fn times(&mut self, entry: &Entry) {
        if let Some(age) = entry.age(self.circumstances.now) {
            self.age[range(age)] += 1;
            self.aged += 1;
        }
        let Some(remaining) = entry.timeout else {
            self.no_timeout += 1;
            return;
        };
        self.remaining[range(remaining)] += 1;
        let class = entry.class();
        let timeout = self.circumstances.timeouts.of(class);
        let Some(idle) = timeout.and_then(|timeout| timeout.checked_sub(remaining)) else {
            return;
        };
        // SYN_SENT2 shares the sysctl of SYN_SENT.
        let shared = class.sysctl();
        for (long, _, shortest, entries) in &mut self.overdue {
            if long.sysctl() == shared && idle > *shortest {
                *entries += 1;
            }
        }
    }
}

/// The range that a time is in, in seconds.
fn range(seconds: u32) -> usize {
    RANGES.partition_point(|&end| end <= seconds)
}
