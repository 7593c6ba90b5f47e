//! Who was hit, as blocks.

use crate::{
    kernel::container::Names,
    report::{
        model::{Flow, Sender, Victims},
        outline::block::{Block, table},
        sentences::{self, moment},
    },
    say::number::{counted, number},
};

pub(super) fn blocks(victims: &Victims) -> Vec<Block> {
    let mut blocks = Vec::new();
    let flows = victims.flows.iter().map(flow).collect();
    let head = [
        "source",
        "destination",
        "protocol",
        "reason",
        "network namespace",
        "#packets",
        "first",
        "last",
    ];
    let sums = format!(
        "{} refused in this time; {} refused for the first time (on the whole host). The flows \
         below have {} of these packets; other flows, and flows that are not known, have {}.",
        counted(victims.refused, "packet"),
        counted(victims.new_flows, "flow"),
        number(victims.refused.saturating_sub(victims.others)),
        number(victims.others),
    );
    blocks.push(Block::Text(sums));
    if victims.unattributed > 0 {
        blocks.push(Block::Text(format!(
            "Counted without a flow, on the whole host: {}. ctdrop had not yet attached the programs \
             that run for each new flow, had no room for the flow, or its backend cannot see the flow.",
            counted(victims.unattributed, "packet")
        )));
    }
    blocks.extend(table("Flows with the most refused packets", &head, flows));
    let services = victims.services.iter().map(|service| {
        vec![
            format!("{} {}", service.protocol, end(&service.dst, service.dport)),
            number(service.packets),
            number(service.flows),
        ]
    });
    let caption = "Services that the recorded flows went to";
    let head = ["service", "#packets", "#flows"];
    blocks.extend(table(caption, &head, services.collect()));
    let senders = victims.senders.iter().map(|sender| {
        vec![
            sender.process.clone(),
            sender.unit.clone().unwrap_or_default(),
            place(sender),
            number(sender.packets),
        ]
    });
    let caption = "Processes of this host that sent the refused packets";
    let head = ["process", "unit", "container or pod", "#packets"];
    let senders = table(caption, &head, senders.collect());
    if senders.is_none() && victims.refused > 0 {
        let none = "ctdrop knows no process of this host that sent these packets.";
        blocks.push(Block::Text(none.to_owned()));
    }
    blocks.extend(senders);
    blocks
}

/// The container or pod of a process, and what else is known of it.
fn place(sender: &Sender) -> String {
    let place = sender.container.clone().unwrap_or_default();
    match sender.names.as_ref().map(Names::details).as_deref() {
        None | Some([]) => place,
        Some(details) => format!("{place} ({})", details.join(", ")),
    }
}

fn flow(flow: &Flow) -> Vec<String> {
    let zone = match flow.zone {
        0 => String::new(),
        zone => format!(", zone {zone}"),
    };
    vec![
        end(&flow.src, flow.sport),
        end(&flow.dst, flow.dport),
        flow.protocol.clone(),
        sentences::reason(&flow.reason).to_owned(),
        format!("{}{zone}", flow.netns_name),
        number(flow.packets),
        moment(&flow.first),
        moment(&flow.last),
    ]
}

/// `192.0.2.1:53`, `[2001:db8::1]:53`
fn end(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}
