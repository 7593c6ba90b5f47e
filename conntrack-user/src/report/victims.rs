//! Whose packets were refused: flows, the services they were for, and the processes of
//! this host that sent them.

use std::{cmp::Reverse, collections::BTreeMap};

use serde_json::Value;

use crate::{
    kernel::container::Container,
    report::{
        evidence::{Evidence, UNKNOWN, time},
        model::{Flow, Sender, Service, Victims},
    },
    store::{digest::FlowSum, interval::FlowKey},
};

/// How many rows each table has.
const ROWS: usize = 20;

/// Whose packets were refused.
pub(super) fn victims(evidence: &Evidence) -> Victims {
    let digest = &evidence.digest;
    let names = evidence.netns_names();
    let refused = digest
        .points
        .iter()
        .flat_map(|point| point.refused.values());
    let refused: u64 = refused.sum();
    let tuples = tuples(&digest.flows);
    let flows: Vec<Flow> = tuples
        .iter()
        .take(ROWS)
        .map(|sum| {
            let name = names.get(&sum.key.netns);
            flow(sum, name.map_or(UNKNOWN, String::as_str))
        })
        .collect();
    let shown: u64 = flows.iter().map(|flow| flow.packets).sum();
    Victims {
        refused,
        new_flows: digest.sums.new_flows,
        others: refused.saturating_sub(shown),
        unattributed: digest.sums.unattributed,
        in_part: digest.flows_in_part,
        flows,
        services: services(&tuples),
        senders: senders(&digest.flows),
    }
}

/// The flows, whoever sent them, most packets first.
fn tuples(flows: &[FlowSum]) -> Vec<FlowSum> {
    let mut sums: BTreeMap<FlowKey, FlowSum> = BTreeMap::new();
    for flow in flows {
        let key = FlowKey {
            sender: None,
            ..flow.key.clone()
        };
        let sum = sums.entry(key.clone()).or_insert_with(|| FlowSum {
            key,
            packets: 0,
            ..flow.clone()
        });
        sum.packets += flow.packets;
        sum.first = sum.first.min(flow.first);
        sum.last = sum.last.max(flow.last);
    }
    let mut tuples: Vec<FlowSum> = sums.into_values().collect();
    tuples.sort_by_key(|sum| Reverse(sum.packets));
    tuples
}

fn flow(sum: &FlowSum, netns_name: &str) -> Flow {
    let key = &sum.key;
    Flow {
        netns_name: netns_name.to_owned(),
        reason: key.reason.clone(),
        zone: key.zone,
        protocol: key.protocol.clone(),
        src: key.src.clone(),
        sport: key.sport,
        dst: key.dst.clone(),
        dport: key.dport,
        packets: sum.packets,
        first: time(sum.first),
        last: time(sum.last),
    }
}

fn services(flows: &[FlowSum]) -> Vec<Service> {
    let mut sums: BTreeMap<(&str, &str, u16), Service> = BTreeMap::new();
    for FlowSum { key, packets, .. } in flows {
        let service = sums
            .entry((&key.protocol, &key.dst, key.dport))
            .or_insert_with(|| Service {
                protocol: key.protocol.clone(),
                dst: key.dst.clone(),
                dport: key.dport,
                ..Service::default()
            });
        service.packets += packets;
        service.flows += 1;
    }
    let mut services: Vec<Service> = sums.into_values().collect();
    services.sort_by_key(|service| Reverse(service.packets));
    services.truncate(ROWS);
    services
}

fn senders(flows: &[FlowSum]) -> Vec<Sender> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for flow in flows {
        if let Some(sender) = &flow.key.sender {
            *sums.entry(sender).or_default() += flow.packets;
        }
    }
    let mut sums: Vec<(&str, u64)> = sums.into_iter().collect();
    sums.sort_by_key(|&(_, packets)| Reverse(packets));
    sums.truncate(ROWS);
    sums.into_iter()
        .map(|(sender, packets)| self::sender(sender, packets))
        .collect()
}

/// A process as the store has it: as in the lines `interval` of `watch -o json`.
fn sender(json: &str, packets: u64) -> Sender {
    let sender: Value = serde_json::from_str(json).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let container = serde_json::from_value::<Container>(sender["container"].clone()).ok();
    let comm = text(&sender["comm"]).unwrap_or_else(|| UNKNOWN.to_owned());
    Sender {
        process: match sender["pid"].as_u64() {
            Some(pid) => format!("{comm}[{pid}]"),
            None => comm,
        },
        unit: text(&sender["unit"]),
        container: container.as_ref().map(Container::in_full),
        names: container.and_then(|container| Some(*container.names?)),
        packets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_that_send_from_one_port_stay_two() {
        let sent = |pid: u32, packets| FlowSum {
            key: FlowKey {
                src: "10.0.0.1".to_owned(),
                sender: Some(format!("{{\"pid\":{pid},\"comm\":\"dig\"}}")),
                ..FlowKey::default()
            },
            packets,
            first: i64::from(pid),
            last: i64::from(pid),
        };
        let flows = [sent(7, 60), sent(8, 40)];
        let senders = senders(&flows);
        let told = senders.iter().map(|it| (it.process.as_str(), it.packets));
        assert_eq!(told.collect::<Vec<_>>(), [("dig[7]", 60), ("dig[8]", 40)]);
        let tuples = tuples(&flows);
        assert_eq!(tuples.len(), 1);
        let FlowSum {
            packets,
            first,
            last,
            ..
        } = tuples[0];
        assert_eq!((packets, first, last), (100, 7, 8));
        assert_eq!(services(&tuples)[0].flows, 1);
    }
}
