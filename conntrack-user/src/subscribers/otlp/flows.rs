//! The flows with the most refused packets of each open incident.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use conntrack_ebpf::FlowKey;

use crate::engine::{report::Report, rows::Subject};

/// The most flows in a record of an incident.
const TOLD: usize = 10;

/// The most flows that are kept for an incident.
const KEPT: usize = 256;

/// A flow and a lower bound of its refused packets.
pub(super) type Flow = (FlowKey, u64);

/// The flows of open incidents.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// The flows of the last interval that had any.
    last: Vec<Flow>,
    open: BTreeMap<i64, Of>,
}

#[derive(Debug)]
struct Of {
    netns: u32,
    packets: HashMap<FlowKey, u64>,
}

impl Flows {
    /// Adds the flows of an interval.
    pub(super) fn add(&mut self, report: &Report) {
        let rows = report.flows.top.iter();
        let flows: Vec<Flow> = rows
            .filter_map(|row| match row.subject {
                Subject::Flow(key) => Some((key, row.count.packets)),
                _ => None,
            })
            .collect();
        if flows.is_empty() {
            return;
        }
        for of in self.open.values_mut() {
            of.add(&flows);
        }
        self.last = flows;
    }

    /// An incident in this namespace began in the last interval.
    pub(super) fn open(&mut self, incident: i64, netns: u32) {
        let mut of = Of {
            netns,
            packets: HashMap::new(),
        };
        of.add(&self.last);
        self.open.insert(incident, of);
    }

    /// The flows of an incident with the most packets.
    pub(super) fn of(&self, incident: i64) -> Vec<Flow> {
        let of = self.open.get(&incident);
        of.map_or_else(Vec::new, |of| largest(&of.packets, TOLD))
    }

    /// An incident was closed.
    pub(super) fn close(&mut self, incident: i64) {
        self.open.remove(&incident);
    }
}

impl Of {
    fn add(&mut self, flows: &[Flow]) {
        for (key, packets) in flows {
            if key.netns == self.netns {
                *self.packets.entry(*key).or_default() += packets;
            }
        }
        if self.packets.len() > 2 * KEPT {
            self.packets = largest(&self.packets, KEPT).into_iter().collect();
        }
    }
}

fn largest(packets: &HashMap<FlowKey, u64>, most: usize) -> Vec<Flow> {
    let mut flows: Vec<Flow> = packets
        .iter()
        .map(|(key, packets)| (*key, *packets))
        .collect();
    flows.sort_by_key(|&(_, packets)| Reverse(packets));
    flows.truncate(most);
    flows
}
