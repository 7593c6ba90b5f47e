//! The rows of a report as a table.

use comfy_table::{CellAlignment, Table, presets};
use conntrack_ebpf::FlowKey;

use crate::{
    engine::{
        by::By,
        names::Names,
        report::Report,
        rows::{Row, Rows, Subject},
    },
    say::{
        number::number,
        port::{Services, endpoint, port_text},
        protocol::{address, has_ports, is_icmp, protocol_name},
        reason::reason_text,
        text::plain,
    },
};

/// The rows, none if there are none.
pub(super) fn table(report: &Report, services: &Services) -> Vec<String> {
    let rows = report
        .groups
        .as_ref()
        .map_or(&report.flows, |(_, rows)| rows);
    if rows.top.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let by_sender = matches!(rows.top[0].subject, Subject::Sender(_));
    let any_sender = by_sender || rows.top.iter().any(|row| sender(row) != 0);
    let mut header = columns(&rows.top[0].subject);
    header.extend(any_sender.then_some("SENT BY"));
    table.set_header(header);
    for row in &rows.top {
        let mut line = cells(row, report, services);
        line.extend(any_sender.then(|| sent_by(sender(row), &report.names)));
        table.add_row(line);
    }
    if let Some(packets) = table.column_mut(0) {
        packets.set_cell_alignment(CellAlignment::Right);
    }
    let mut lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.extend(more(
        rows,
        report.groups.as_ref().map_or(By::Flow, |(by, _)| *by),
    ));
    lines
}

/// The process that sent a row's packets, if it is a row of one flow or one
/// process.
const fn sender(row: &Row) -> u32 {
    match row.subject {
        Subject::Flow(key) => key.sender,
        Subject::Sender(pid) => pid,
        _ => 0,
    }
}

fn sent_by(pid: u32, names: &Names) -> String {
    match names.process(pid) {
        Some(process) => plain(&process.label()),
        None if pid == 0 => "-".to_owned(),
        None => format!("[{pid}]"),
    }
}

/// `  3,044 flows, top 10 shown (--top)`, if not all are.
fn more(rows: &Rows, by: By) -> Option<String> {
    let what = match by {
        By::Flow => "flows",
        By::Src => "sources",
        By::Dst => "destinations",
        By::Service => "services",
        By::Netns => "network namespaces",
        By::Reason => "reasons",
        By::Sender => "senders",
    };
    let shown = rows.top.len();
    (rows.more > 0).then(|| {
        format!(
            "  {} {what}, top {} shown (--top)",
            number((shown + rows.more) as u64),
            number(shown as u64)
        )
    })
}

fn columns(subject: &Subject) -> Vec<&'static str> {
    match subject {
        Subject::Flow(_) => vec!["PACKETS", "REASON", "NETNS", "PROTO", "FLOW"],
        Subject::Address { .. } => vec!["PACKETS", "NETNS", "ADDRESS"],
        Subject::Service { .. } => vec!["PACKETS", "NETNS", "PROTO", "SERVICE"],
        Subject::Netns(_) => vec!["PACKETS", "NETNS"],
        Subject::Reason(_) => vec!["PACKETS", "REASON"],
        Subject::Sender(_) => vec!["PACKETS"],
    }
}

fn cells(row: &Row, report: &Report, services: &Services) -> Vec<String> {
    let netns = |inode| plain(&report.names.netns(inode));
    let mut cells = vec![number(row.count.packets)];
    match row.subject {
        Subject::Flow(key) => cells.extend([
            reason_text(key.reason),
            netns(key.netns),
            protocol_name(key.protocol),
            flow(&key, services),
        ]),
        Subject::Address {
            netns: inode,
            address,
        } => cells.extend([netns(inode), address.to_string()]),
        Subject::Service {
            netns: inode,
            address,
            protocol,
            port,
        } => cells.extend([
            netns(inode),
            protocol_name(protocol),
            endpoint(&address.to_string(), &port_text(protocol, port, services)),
        ]),
        Subject::Netns(inode) => cells.push(netns(inode)),
        Subject::Reason(reason) => cells.push(reason_text(reason)),
        Subject::Sender(_) => {}
    }
    cells
}

/// `10.0.0.1:4000 → 10.0.0.2:53`, with the zone if there is one.
fn flow(key: &FlowKey, services: &Services) -> String {
    let source = address(key.family, key.src).to_string();
    let destination = address(key.family, key.dst).to_string();
    let (from, to) = if is_icmp(key.protocol) {
        (
            format!("id {}", key.sport),
            port_text(key.protocol, key.dport, services),
        )
    } else if has_ports(key.protocol) {
        (
            key.sport.to_string(),
            port_text(key.protocol, key.dport, services),
        )
    } else {
        (String::new(), String::new())
    };
    let zone = match key.zone {
        0 => String::new(),
        zone => format!(" zone {zone}"),
    };
    format!(
        "{} → {}{zone}",
        endpoint(&source, &from),
        endpoint(&destination, &to)
    )
}

#[cfg(test)]
mod tests {
    use conntrack_ebpf::{FlowCount, Reason};

    use super::*;

    fn key(protocol: u8, family: u8) -> FlowKey {
        let mut src = [0; 16];
        src[..4].copy_from_slice(&[192, 0, 2, 1]);
        FlowKey {
            src,
            dst: [0; 16],
            netns: 1,
            sport: 40_000,
            dport: 53,
            zone: 0,
            family,
            protocol,
            reason: Reason::TableFull as u32,
            sender: 0,
        }
    }

    #[test]
    fn what_is_left_out_is_said() {
        let subject = Subject::Flow(key(17, 2));
        let count = FlowCount::default();
        let rows = |more| Rows {
            top: vec![Row { subject, count }; 3],
            more,
        };
        let line = more(&rows(3_034), By::Src).unwrap();
        assert_eq!(line, "  3,037 sources, top 3 shown (--top)");
        assert_eq!(more(&rows(0), By::Flow), None);
    }

    #[test]
    fn flows_read_as_people_write_them() {
        let services = Services::default();
        assert_eq!(flow(&key(17, 2), &services), "192.0.2.1:40000 → 0.0.0.0:53");
        assert_eq!(flow(&key(6, 10), &services), "[c000:201::]:40000 → [::]:53");
        assert_eq!(flow(&key(47, 2), &services), "192.0.2.1 → 0.0.0.0");
        let echo = FlowKey {
            dport: 0x0800,
            zone: 3,
            ..key(1, 2)
        };
        assert_eq!(
            flow(&echo, &services),
            "192.0.2.1 id 40000 → 0.0.0.0 type 8 code 0 zone 3"
        );
    }
}
