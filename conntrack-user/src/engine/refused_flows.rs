//! How many distinct flows the limit in force refuses.
//!
//! A flow that tries again is refused again: packets say nothing about how much room is
//! wanted. A tuple counts once, whatever its packets.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;

use crate::observe::counts::{
    tally::Tally,
    totals::{Totals, TotalsByNetns},
};

/// For how long a refused flow counts, in nanoseconds: as long as an entry stays that has
/// seen its last packet (`tcp_timeout_time_wait` and `udp_timeout_stream` of
/// `net/netfilter/nf_conntrack_proto_{tcp,udp}.c`, 120 s each).
const STAYS: u64 = 120_000_000_000;

/// Bounds of a number of distinct flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct FlowRange {
    /// Flows that were told apart.
    pub at_least: u64,
    /// With each packet whose flow is not known taken for a flow of its own.
    pub at_most: u64,
}

impl FlowRange {
    /// So many packets, of which no flow is known.
    pub fn of_packets(packets: u64) -> Self {
        Self {
            at_least: packets.min(1),
            at_most: packets,
        }
    }
}

/// Counts the flows that a full table refuses.
#[derive(Debug, Default)]
pub(super) struct FlowCounter {
    /// When the limit in force was set, by `CLOCK_MONOTONIC` in nanoseconds.
    since: u64,
    /// Packets without a known flow until then, by namespace.
    before: BTreeMap<u32, u64>,
    /// Packets refused when the flows were last counted.
    packets: u64,
    flows: BTreeMap<u32, FlowRange>,
}

impl FlowCounter {
    /// Another limit is in force from `now` on: what the one before has refused may find
    /// room.
    pub(super) fn begin(&mut self, totals: &TotalsByNetns, tally: &Tally, now: u64) {
        *self = Self {
            since: now,
            before: Sums::of(totals, tally, now).without_flow,
            ..Self::default()
        };
    }

    /// Those that were refused since then, and lately, by namespace; of all that was
    /// drained.
    pub(super) fn count(
        &mut self,
        totals: &TotalsByNetns,
        tally: &Tally,
        now: u64,
    ) -> &BTreeMap<u32, FlowRange> {
        let packets = totals.values().map(|it| it.of(Reason::TableFull)).sum();
        if packets == self.packets {
            return &self.flows;
        }
        self.packets = packets;
        let since = self.since.max(now.saturating_sub(STAYS));
        let mut sums = Sums::of(totals, tally, since);
        for (netns, packets) in sums.without_flow {
            let before = self.before.get(&netns).copied().unwrap_or(0);
            let more = packets.saturating_sub(before);
            if more > 0 {
                let flows = sums.flows.entry(netns).or_default();
                flows.at_least = flows.at_least.max(1);
                flows.at_most += more;
            }
        }
        self.flows = sums.flows;
        &self.flows
    }
}

/// What the flows add up to, by namespace.
struct Sums {
    /// Packets whose flow has no count of its own.
    without_flow: BTreeMap<u32, u64>,
    flows: BTreeMap<u32, FlowRange>,
}

impl Sums {
    /// Of all that was drained; a flow counts if it was refused after `since`.
    fn of(totals: &TotalsByNetns, tally: &Tally, since: u64) -> Self {
        let packets = |(&netns, totals): (&u32, &Totals)| (netns, totals.of(Reason::TableFull));
        let mut sums = Self {
            without_flow: totals.iter().map(packets).collect(),
            flows: BTreeMap::new(),
        };
        for (key, entry) in tally.flows_refused_for(Reason::TableFull) {
            if let Some(packets) = sums.without_flow.get_mut(&key.netns) {
                *packets = packets.saturating_sub(entry.count.packets);
            }
            if entry.count.last >= since {
                let flows = sums.flows.entry(key.netns).or_default();
                flows.at_least += 1;
                flows.at_most += 1;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use conntrack_ebpf::{FlowCount, FlowKey, ServiceKey, TotalCounts};

    use super::*;
    use crate::observe::counts::sink::Sink as _;

    const SECOND: u64 = 1_000_000_000;
    const NETNS: u32 = 7;

    /// What was drained so far.
    #[derive(Default)]
    struct Drained {
        tally: Tally,
        totals: TotalsByNetns,
    }

    impl Drained {
        fn count(&mut self, netns: u32, packets: u64) {
            let mut counts = TotalCounts::default();
            counts.slots[Reason::TableFull as usize] = packets;
            self.totals.entry(netns).or_default().add(&counts);
        }

        fn key(netns: u32, port: u16, reason: Reason) -> FlowKey {
            FlowKey {
                src: [1; 16],
                dst: [2; 16],
                netns,
                sport: port,
                dport: 53,
                zone: 0,
                family: 2,
                protocol: 17,
                reason: reason as u32,
                sender: 0,
            }
        }

        /// So many packets of each of these flows were refused.
        fn refuse(&mut self, netns: u32, ports: std::ops::Range<u16>, packets: u64, at: u64) {
            for port in ports {
                let count = FlowCount {
                    packets,
                    first: at,
                    last: at,
                };
                self.count(netns, packets);
                self.tally
                    .flow(Self::key(netns, port, Reason::TableFull), count);
            }
        }

        fn flows(&self, counted: &mut FlowCounter, now: u64) -> Vec<(u32, u64, u64)> {
            let flows = counted.count(&self.totals, &self.tally, now);
            let bounds =
                |(&netns, flows): (&u32, &FlowRange)| (netns, flows.at_least, flows.at_most);
            flows.iter().map(bounds).collect()
        }
    }

    #[test]
    fn flows_that_try_again_count_once() {
        let (mut drained, mut counted) = (Drained::default(), FlowCounter::default());
        for round in 0..1200 {
            // 20 flows, 200 packets a second, for two minutes.
            drained.refuse(NETNS, 0..20, 1, round * SECOND / 10);
            assert_eq!(
                drained.flows(&mut counted, round * SECOND / 10),
                [(NETNS, 20, 20)]
            );
        }
        drained.refuse(8, 0..3, 5, 120 * SECOND);
        assert_eq!(
            drained.flows(&mut counted, 120 * SECOND),
            [(NETNS, 20, 20), (8, 3, 3)],
            "each namespace has its own count"
        );
    }

    #[test]
    fn packets_without_a_flow_may_be_of_any() {
        let (mut drained, mut counted) = (Drained::default(), FlowCounter::default());
        drained.refuse(NETNS, 0..20, 10, SECOND);
        drained.count(NETNS, 30);
        drained.count(9, 4);
        let service = ServiceKey::from(&Drained::key(NETNS, 1, Reason::TableFull));
        drained.tally.service(service, 30);
        assert_eq!(
            drained.flows(&mut counted, SECOND),
            [(NETNS, 20, 50), (9, 1, 4)]
        );
    }

    #[test]
    fn what_an_earlier_limit_has_refused_does_not_count() {
        let (mut drained, mut counted) = (Drained::default(), FlowCounter::default());
        drained.refuse(NETNS, 0..20, 10, SECOND);
        drained.count(NETNS, 5);
        assert_eq!(drained.flows(&mut counted, SECOND), [(NETNS, 20, 25)]);
        counted.begin(&drained.totals, &drained.tally, 2 * SECOND);
        drained.refuse(NETNS, 18..22, 1, 3 * SECOND);
        assert_eq!(
            drained.flows(&mut counted, 3 * SECOND),
            [(NETNS, 4, 4)],
            "of the earlier ones two were refused again"
        );
    }

    #[test]
    fn what_was_refused_long_ago_does_not_count() {
        let (mut drained, mut counted) = (Drained::default(), FlowCounter::default());
        drained.refuse(NETNS, 0..100, 1, SECOND);
        drained.refuse(NETNS, 200..203, 1, 130 * SECOND);
        assert_eq!(drained.flows(&mut counted, 130 * SECOND), [(NETNS, 3, 3)]);
    }

    #[test]
    fn only_flows_that_want_room_count() {
        let (mut drained, mut counted) = (Drained::default(), FlowCounter::default());
        drained.refuse(NETNS, 0..2, 1, SECOND);
        let count = FlowCount {
            packets: 9,
            first: SECOND,
            last: SECOND,
        };
        let clash = Drained::key(NETNS, 5, Reason::Clash);
        drained.tally.flow(clash, count);
        assert_eq!(drained.flows(&mut counted, SECOND), [(NETNS, 2, 2)]);
    }
}
