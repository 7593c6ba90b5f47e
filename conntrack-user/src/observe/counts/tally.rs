//! Which flows, how many packets: everything drained so far, in bounded
//! memory.
//!
//! Up to a fixed number of flows each has its exact count. When more come, the
//! smaller half is given up: its packets go to the services they were for, and
//! stay counted. A flow that was given up and comes back starts anew, so its
//! count can be too low, by at most [`Tally::error_bound`] packets.

use std::collections::HashMap;

use conntrack_ebpf::{FlowCount, FlowKey, Reason, ServiceKey};
use foldhash::fast::RandomState;
use indexmap::{IndexMap, map::Entry as Place};

use crate::observe::counts::sink::Sink;

/// Flows with their own count, some 44 MB, and their index, which doubles at 7/8
/// full: this is 7/8 of 2^19.
const FLOWS: usize = 458_752;

/// Services with their own count, some 3 MB.
const SERVICES: usize = 57_344;

/// A flow's count, in all and since the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Since the start.
    pub count: FlowCount,
    /// Packets since the last call of [`Tally::start_interval`].
    pub recent: u64,
}

/// Flows and services, bounded.
#[derive(Debug)]
pub struct Tally {
    // Seeded at random, so that it is hard to choose flows that collide. New ones
    // come one after the other in memory, and only a small index is hit at random.
    flows: IndexMap<FlowKey, Entry, RandomState>,
    services: HashMap<ServiceKey, Entry, RandomState>,
    error_bound: u64,
    capacity: usize,
}

impl Default for Tally {
    fn default() -> Self {
        Self::with_capacity(FLOWS)
    }
}

impl Tally {
    fn with_capacity(capacity: usize) -> Self {
        Self {
            flows: IndexMap::default(),
            services: HashMap::default(),
            error_bound: 0,
            capacity,
        }
    }

    /// All flows that have a count of their own.
    pub fn flows(&self) -> impl Iterator<Item = (&FlowKey, &Entry)> + Clone {
        self.flows.iter()
    }

    /// Those that were refused for a reason.
    pub fn flows_refused_for(&self, reason: Reason) -> impl Iterator<Item = (&FlowKey, &Entry)> {
        self.flows()
            .filter(move |(key, _)| key.reason == reason as u32)
    }

    /// Where the packets went whose flow has no count of its own; the times of
    /// these are not known.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceKey, &Entry)> {
        self.services.iter()
    }

    /// By how many packets the count of a flow can be too low; 0 as long as
    /// every flow has found room.
    pub const fn error_bound(&self) -> u64 {
        self.error_bound
    }

    /// Begins a new interval.
    pub fn start_interval(&mut self) {
        let flows = self.flows.values_mut();
        for entry in flows.chain(self.services.values_mut()) {
            entry.recent = 0;
        }
    }

    /// Gives up the half with the fewest packets, in favour of what may come; of
    /// equal ones no more than that takes.
    fn give_up_half(&mut self) {
        let mut packets: Vec<u64> = self
            .flows
            .values()
            .map(|entry| entry.count.packets)
            .collect();
        let middle = packets.len() / 2;
        let (_, &mut limit, _) = packets.select_nth_unstable(middle);
        self.error_bound += limit;
        let greater = packets.iter().filter(|&&packets| packets > limit).count();
        let mut equal = middle.saturating_sub(greater);
        let services = &mut self.services;
        self.flows.retain(|key, entry| {
            let mut stays = entry.count.packets > limit;
            if entry.count.packets == limit && equal > 0 {
                equal -= 1;
                stays = true;
            }
            if !stays {
                add_service(
                    services,
                    ServiceKey::from(key),
                    entry.count.packets,
                    entry.recent,
                );
            }
            stays
        });
    }
}

impl Sink for Tally {
    fn flow(&mut self, key: FlowKey, count: FlowCount) {
        if self.flows.len() >= self.capacity && !self.flows.contains_key(&key) {
            self.give_up_half();
        }
        let recent = count.packets;
        match self.flows.entry(key) {
            Place::Occupied(mut known) => {
                let entry = known.get_mut();
                entry.count.packets += count.packets;
                entry.count.last = entry.count.last.max(count.last);
                entry.recent += recent;
            }
            Place::Vacant(place) => {
                place.insert(Entry { count, recent });
            }
        }
    }

    fn service(&mut self, key: ServiceKey, packets: u64) {
        add_service(&mut self.services, key, packets, packets);
    }
}

/// Adds to a service, if it has a count or can get one. Otherwise its packets
/// are in the totals alone.
fn add_service(
    services: &mut HashMap<ServiceKey, Entry, RandomState>,
    key: ServiceKey,
    packets: u64,
    recent: u64,
) {
    if !services.contains_key(&key) && services.len() >= SERVICES {
        return;
    }
    let entry = services.entry(key).or_default();
    entry.count.packets += packets;
    entry.recent += recent;
}

/// Whether the reason of this number is a lost packet. An unknown one is taken
/// for one: better seen than hidden.
pub fn is_drop(reason: u32) -> bool {
    Reason::try_from(reason).map_or(true, Reason::is_drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> FlowKey {
        let mut src = [0; 16];
        src[..4].copy_from_slice(&number.to_be_bytes());
        FlowKey {
            src,
            dst: [1; 16],
            netns: 1,
            sport: 1,
            dport: 53,
            zone: 0,
            family: 2,
            protocol: 17,
            reason: Reason::TableFull as u32,
            sender: 0,
        }
    }

    fn packets(packets: u64, at: u64) -> FlowCount {
        FlowCount {
            packets,
            first: at,
            last: at,
        }
    }

    #[test]
    fn a_flow_keeps_its_first_and_last_time() {
        let mut tally = Tally::default();
        tally.flow(key(1), packets(2, 10));
        tally.start_interval();
        tally.flow(key(1), packets(3, 20));
        let (_, entry) = tally.flows().next().unwrap();
        let FlowCount {
            packets,
            first,
            last,
        } = entry.count;
        assert_eq!((packets, first, last, entry.recent), (5, 10, 20, 3));
    }

    #[test]
    fn heavy_flows_stay_and_no_packet_is_lost() {
        let mut tally = Tally::with_capacity(100);
        let mut sent = 0;
        for round in 0..50 {
            for heavy in 0..10 {
                tally.flow(key(heavy), packets(20, 0));
                sent += 20;
            }
            for light in 0..30 {
                tally.flow(key(1000 + light + 30 * round), packets(1, 0));
                sent += 1;
            }
        }
        assert!(tally.flows.len() <= 100);
        let all = tally.flows.values().chain(tally.services.values());
        assert_eq!(all.map(|entry| entry.count.packets).sum::<u64>(), sent);
        for heavy in 0..10 {
            let entry = tally.flows[&key(heavy)];
            assert!(entry.count.packets <= 1000);
            assert!(entry.count.packets + tally.error_bound() >= 1000);
        }
    }

    #[test]
    fn of_equal_flows_half_stay() {
        let mut tally = Tally::with_capacity(10);
        for number in 0..11 {
            tally.flow(key(number), packets(1, 0));
        }
        assert_eq!(tally.flows.len(), 6);
        assert_eq!(tally.error_bound(), 1);
        let (_, rest) = tally.services().next().unwrap();
        assert_eq!((rest.count.packets, rest.recent), (5, 5));
        for number in 11..1000 {
            tally.flow(key(number), packets(1, 0));
            assert!((5..=10).contains(&tally.flows.len()));
        }
    }
}
