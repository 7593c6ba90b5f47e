//! The rows of a report as a table.

use comfy_table::{CellAlignment, Table, presets};
use conntrack_ebpf::FlowKey;

use crate::{
    engine::{
        by::By,
        names::Names,
        report::Report,
        rows::{Row, Subject},
    },
    say::{
        number::number,
        port::{Services, endpoint, port_text},
        protocol::{address, has_ports, is_icmp, protocol_name},
        reason::reason_text,
        text::plain,
    },
};

/// The rows of a report as text.
#[derive(Clone, Debug)]
pub(in crate::subscribers) struct TableText {
    /// The names of the columns.
    header: Vec<&'static str>,
    /// A text for each column of each row.
    rows: Vec<Vec<String>>,
    /// What the rows are.
    what: &'static str,
    /// Rows that the report has left out.
    omitted: usize,
}

impl TableText {
    /// The rows of a report; none if there are none.
    pub(in crate::subscribers) fn of(report: &Report, services: &Services) -> Option<Self> {
        let by = report.groups.as_ref().map_or(By::Flow, |(by, _)| *by);
        let rows = report
            .groups
            .as_ref()
            .map_or(&report.flows, |(_, rows)| rows);
        let first = rows.top.first()?;
        let by_sender = matches!(first.subject, Subject::Sender(_));
        let any_sender = by_sender || rows.top.iter().any(|row| sender(row) != 0);
        let mut header = vec!["PACKETS"];
        header.extend(columns(&first.subject));
        header.extend(any_sender.then_some("SENT BY"));
        let line = |row: &Row| {
            let mut line = vec![number(row.count.packets)];
            line.extend(cells(row, &report.names, services));
            line.extend(any_sender.then(|| sent_by(sender(row), &report.names)));
            line
        };
        Some(Self {
            header,
            rows: rows.top.iter().map(line).collect(),
            what: subjects(by),
            omitted: rows.more,
        })
    }

    /// `  3,044 flows, top 10 shown (--top)`, if not all are.
    fn more(&self) -> Option<String> {
        (self.omitted > 0).then(|| {
            format!(
                "  {} {}, top {} shown (--top)",
                number((self.rows.len() + self.omitted) as u64),
                self.what,
                number(self.rows.len() as u64)
            )
        })
    }

    /// The names of the columns, the rows, and what is left out.
    pub(in crate::subscribers) fn lines(&self) -> Vec<String> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(&self.header);
        for row in &self.rows {
            table.add_row(row);
        }
        if let Some(packets) = table.column_mut(0) {
            packets.set_cell_alignment(CellAlignment::Right);
        }
        let mut lines: Vec<String> = table
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        lines.extend(self.more());
        lines
    }
}

/// The process that sent a row's packets, if it is a row of one flow or one
/// process.
pub(in crate::subscribers) const fn sender(row: &Row) -> u32 {
    match row.subject {
        Subject::Flow(key) => key.sender,
        Subject::Sender(pid) => pid,
        _ => 0,
    }
}

/// What that process is called.
pub(in crate::subscribers) fn sent_by(pid: u32, names: &Names) -> String {
    match names.process(pid) {
        Some(process) => plain(&process.label()),
        None if pid == 0 => "-".to_owned(),
        None => format!("[{pid}]"),
    }
}

/// What rows are called.
pub(in crate::subscribers) const fn subjects(by: By) -> &'static str {
    match by {
        By::Flow => "flows",
        By::Src => "sources",
        By::Dst => "destinations",
        By::Service => "services",
        By::Netns => "network namespaces",
        By::Reason => "reasons",
        By::Sender => "senders",
    }
}

/// The names of the columns besides numbers and sender.
pub(in crate::subscribers) const fn columns(subject: &Subject) -> &'static [&'static str] {
    match subject {
        Subject::Flow(_) => &["REASON", "NETNS", "PROTO", "FLOW"],
        Subject::Address { .. } => &["NETNS", "ADDRESS"],
        Subject::Service { .. } => &["NETNS", "PROTO", "SERVICE"],
        Subject::Netns(_) => &["NETNS"],
        Subject::Reason(_) => &["REASON"],
        Subject::Sender(_) => &[],
    }
}

/// What is in them.
pub(in crate::subscribers) fn cells(row: &Row, names: &Names, services: &Services) -> Vec<String> {
    let netns = |inode| plain(&names.netns(inode));
    match row.subject {
        Subject::Flow(key) => vec![
            reason_text(key.reason),
            netns(key.netns),
            protocol_name(key.protocol),
            flow(&key, services),
        ],
        Subject::Address {
            netns: inode,
            address,
        } => vec![netns(inode), address.to_string()],
        Subject::Service {
            netns: inode,
            address,
            protocol,
            port,
        } => vec![
            netns(inode),
            protocol_name(protocol),
            endpoint(&address.to_string(), &port_text(protocol, port, services)),
        ],
        Subject::Netns(inode) => vec![netns(inode)],
        Subject::Reason(reason) => vec![reason_text(reason)],
        Subject::Sender(_) => Vec::new(),
    }
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
    use conntrack_ebpf::Reason;

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
        let table = |omitted| TableText {
            header: vec!["PACKETS", "NETNS", "ADDRESS"],
            rows: vec![["1", "host", "192.0.2.1"].map(ToOwned::to_owned).to_vec(); 3],
            what: subjects(By::Src),
            omitted,
        };
        let line = table(3_034).more().unwrap();
        assert_eq!(line, "  3,037 sources, top 3 shown (--top)");
        assert_eq!(table(0).more(), None);
        assert_eq!(table(0).lines().len(), 4);
        assert_eq!(table(1).lines().len(), 5);
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
