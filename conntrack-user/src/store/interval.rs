//! What was counted in an interval, and several in one.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::store::moment::Moment;

/// How many flows of an interval are kept.
pub const FLOWS: usize = 20;

/// The reason under which flows have entries that the kernel removed.
pub const EVICTED: &str = "evicted";

/// What was counted in an interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Its end.
    pub at: Moment,
    /// Its length in milliseconds.
    pub length: u64,
    /// Packets lost.
    pub refused: u64,
    /// Bounds of that, where counters alone tell.
    pub range: Option<(u64, u64)>,
    /// Entries removed to make room.
    pub evicted: u64,
    /// Clashes without a loss.
    pub clash_resolved: u64,
    /// Entries refused that no packet wanted.
    pub non_packet: u64,
    /// Packets that a rule dropped or conntrack refused.
    pub rule_or_refused: u64,
    /// Packets of `refused` without a flow of their own.
    pub unattributed: u64,
    /// Flows refused for the first time in this run.
    pub new_flows: u64,
    /// Rows that `flows` leaves out, of one moment at least.
    pub rest_flows: u64,
    /// The limit and the buckets at the end.
    pub limit: Option<(u64, u64)>,
    /// Whether refusals were seen as well as can be, at the end.
    pub armed: bool,
    /// Packets lost by namespace and reason.
    pub drops: BTreeMap<(i64, String), u64>,
    /// What happened in each namespace.
    pub tables: BTreeMap<i64, Table>,
    /// The flows with the most packets, most first.
    pub flows: Vec<Flow>,
}

/// What happened in a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Entries at the end.
    pub entries: Option<u64>,
    /// The most that were seen.
    pub most: Option<u64>,
    /// Packets lost in it.
    pub refused: u64,
    /// Entries removed to make room.
    pub evicted: u64,
}

/// A flow and its packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Which one.
    pub key: FlowKey,
    /// Packets in the interval.
    pub packets: u64,
    /// Packets since the start of the run.
    pub total: u64,
    /// The first packet of these, in milliseconds of the monotonic clock.
    pub first: i64,
    /// The last one.
    pub last: i64,
}

/// What tells flows apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Number of the namespace in the store.
    pub netns: i64,
    /// Why its packets were refused.
    pub reason: String,
    /// Conntrack zone.
    pub zone: u16,
    /// IP protocol, by name or number.
    pub protocol: String,
    /// Source address.
    pub src: String,
    /// Source port; of ICMP its id.
    pub sport: u16,
    /// Destination address.
    pub dst: String,
    /// Destination port; of ICMP type × 256 + code.
    pub dport: u16,
    /// The process of this host that sent it, as JSON: two can send one after the other
    /// from the same port.
    pub sender: Option<String>,
}

/// The entries of a table at the end of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries {
    /// Inode of the namespace.
    pub inode: u32,
    /// When, in milliseconds of the monotonic clock.
    pub mono: i64,
    /// How many.
    pub entries: u64,
    /// The limit at that time.
    pub max: Option<u64>,
}

impl Interval {
    /// Whether packets were lost or entries removed.
    pub const fn is_eventful(&self) -> bool {
        self.refused > 0 || self.evicted > 0 || self.rule_or_refused > 0
    }

    /// Packets of flows that are not in `flows`.
    pub fn rest(&self) -> u64 {
        let shown = self.flows.iter().filter(|flow| flow.key.reason != EVICTED);
        let shown: u64 = shown.map(|flow| flow.packets).sum();
        self.refused
            .saturating_sub(self.unattributed)
            .saturating_sub(shown)
    }

    /// When it began, by the monotonic clock.
    pub fn began(&self) -> i64 {
        let length = i64::try_from(self.length).unwrap_or(i64::MAX);
        self.at.mono.saturating_sub(length)
    }

    /// Takes in the next interval. All sums stay exact; a flow that only one of the two
    /// has among its first lacks what the other has counted of it.
    pub fn join(&mut self, later: Self) {
        self.at = later.at;
        self.length += later.length;
        self.refused += later.refused;
        self.range = match (self.range, later.range) {
            (Some((least, most)), Some((more, at_most))) => Some((least + more, most + at_most)),
            (range, more) => range.or(more),
        };
        self.evicted += later.evicted;
        self.clash_resolved += later.clash_resolved;
        self.non_packet += later.non_packet;
        self.rule_or_refused += later.rule_or_refused;
        self.unattributed += later.unattributed;
        self.new_flows += later.new_flows;
        self.limit = later.limit.or(self.limit);
        self.armed = later.armed;
        for (key, packets) in later.drops {
            *self.drops.entry(key).or_default() += packets;
        }
        for (netns, table) in later.tables {
            self.tables.entry(netns).or_default().join(table);
        }
        self.join_flows(later.flows, later.rest_flows);
    }

    fn join_flows(&mut self, later: Vec<Flow>, rest: u64) {
        let mut flows: BTreeMap<FlowKey, Flow> = BTreeMap::new();
        for flow in self.flows.drain(..).chain(later) {
            match flows.get_mut(&flow.key) {
                Some(known) => known.join(&flow),
                None => {
                    flows.insert(flow.key.clone(), flow);
                }
            }
        }
        self.flows = flows.into_values().collect();
        self.flows.sort_by_key(|flow| Reverse(flow.packets));
        let omitted = self.flows.len().saturating_sub(FLOWS);
        self.flows.truncate(FLOWS);
        let omitted = u64::try_from(omitted).unwrap_or(u64::MAX);
        self.rest_flows = self.rest_flows.max(rest) + omitted;
    }
}

impl Table {
    fn join(&mut self, later: Self) {
        self.entries = later.entries.or(self.entries);
        self.most = self.most.max(later.most);
        self.refused += later.refused;
        self.evicted += later.evicted;
    }
}

impl Flow {
    fn join(&mut self, later: &Self) {
        self.packets += later.packets;
        self.total = self.total.max(later.total);
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
    }
}
