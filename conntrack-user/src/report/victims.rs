//! Whose packets were refused: flows, the services they were for, and the processes of
//! this host that sent them.

use std::{cmp::Reverse, collections::BTreeMap};

use serde_json::Value;

use crate::{
    report::{
        evidence::{Evidence, UNKNOWN, time},
        model::{Flow, Sender, Service, Victims},
    },
    store::digest::FlowSum,
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
    let flows: Vec<Flow> = digest
        .flows
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
        services: services(&digest.flows),
        senders: senders(&digest.flows),
    }
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
        if let Some(sender) = &flow.sender {
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
    let container = &sender["container"];
    let place = match (text(&container["pod"]), text(&container["id"])) {
        (Some(pod), _) => Some(format!("pod/{pod}")),
        (None, Some(id)) => {
            let runtime = container["runtime"].as_str().unwrap_or("container");
            Some(format!("{runtime}/{id}"))
        }
        (None, None) => None,
    };
    let comm = text(&sender["comm"]).unwrap_or_else(|| UNKNOWN.to_owned());
    Sender {
        process: match sender["pid"].as_u64() {
            Some(pid) => format!("{comm}[{pid}]"),
            None => comm,
        },
        unit: text(&sender["unit"]),
        container: place,
        packets,
    }
}
