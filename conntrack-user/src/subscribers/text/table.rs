//! The rows of a report as a table.

use comfy_table::{CellAlignment, Table, presets};
use conntrack_ebpf::FlowKey;
use console::measure_text_width;

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

/// Columns that are left out where there is no room for them, the first one first.
/// The packets, and whose they are, never are.
const OPTIONAL: [&str; 4] = ["NETNS", "PROTO", "SENT BY", "REASON"];

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
        let mut header = columns(&first.subject);
        header.extend(any_sender.then_some("SENT BY"));
        let line = |row: &Row| {
            let mut line = cells(row, report, services);
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

    /// How many rows there are.
    pub(in crate::subscribers) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the report has left rows out.
    pub(in crate::subscribers) const fn omits_rows(&self) -> bool {
        self.omitted > 0
    }

    /// `  3,044 flows, top 10 shown (--top)`, if not all are.
    pub(in crate::subscribers) fn more(&self, shown: usize) -> Option<String> {
        let all = self.len() + self.omitted;
        let option = match self.omitted {
            0 => "",
            _ => " (--top)",
        };
        (shown < all).then(|| {
            format!(
                "  {} {}, top {} shown{option}",
                number(all as u64),
                self.what,
                number(shown as u64)
            )
        })
    }

    /// All of it, on lines of any length.
    pub(in crate::subscribers) fn lines(self) -> Vec<String> {
        let mut lines = self.within(usize::MAX);
        lines.extend(self.more(self.len()));
        lines
    }

    /// The names of the columns and then the rows, with as many columns as have room.
    /// Where not even two have, the lines are longer.
    pub(in crate::subscribers) fn within(&self, width: usize) -> Vec<String> {
        for left_out in 0..=OPTIONAL.len() {
            let lines = self.aligned(&OPTIONAL[..left_out]);
            if lines.iter().all(|line| measure_text_width(line) <= width) {
                return lines;
            }
        }
        let header = self.header.iter().map(ToString::to_string).collect();
        std::iter::once(&header)
            .chain(&self.rows)
            .map(|cells| self.in_a_row(cells, width))
            .collect()
    }

    /// The columns below one another, without some.
    fn aligned(&self, left_out: &[&str]) -> Vec<String> {
        let kept = |name: &str| !left_out.contains(&name);
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(self.header.iter().copied().filter(|name| kept(name)));
        for row in &self.rows {
            let cells = self.header.iter().zip(row);
            table.add_row(cells.filter(|(name, _)| kept(name)).map(|(_, cell)| cell));
        }
        if let Some(packets) = table.column_mut(0) {
            packets.set_cell_alignment(CellAlignment::Right);
        }
        let lines = table.lines();
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    /// The packets and whose they are, or else why, if not even the first word of that
    /// has room.
    fn in_a_row(&self, cells: &[String], width: usize) -> String {
        let without = |left_out: &[&str]| {
            let kept = self.header.iter().zip(cells);
            let kept = kept.filter(|(name, _)| !left_out.contains(name));
            kept.map(|(_, cell)| cell.as_str()).collect::<Vec<&str>>()
        };
        let short = without(&OPTIONAL).join(" ");
        let begins = short
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ");
        if measure_text_width(&begins) < width.saturating_sub(1) {
            return short;
        }
        without(&OPTIONAL[..OPTIONAL.len() - 1]).join(" ")
    }
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

/// What rows are called.
const fn subjects(by: By) -> &'static str {
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
        let line = table(3_034).more(3).unwrap();
        assert_eq!(line, "  3,037 sources, top 3 shown (--top)");
        assert_eq!(table(0).more(3), None);
        assert_eq!(
            table(0).more(1).unwrap(),
            "  3 sources, top 1 shown",
            "another number would not help"
        );
        assert_eq!(table(0).lines().len(), 4);
        assert_eq!(table(1).lines().len(), 5);
    }

    #[test]
    fn what_matters_most_keeps_its_column() {
        let row = [
            "12",
            "table_full",
            "blue",
            "UDP",
            "192.0.2.1:40000 → 198.51.100.1:53",
        ];
        let table = TableText {
            header: vec!["PACKETS", "REASON", "NETNS", "PROTO", "FLOW"],
            rows: vec![row.map(ToOwned::to_owned).to_vec()],
            what: subjects(By::Flow),
            omitted: 0,
        };
        let within = |width| {
            let lines = table.within(width);
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            [words(&lines[0]), words(&lines[1])]
        };
        let all = "12 table_full blue UDP 192.0.2.1:40000 → 198.51.100.1:53";
        assert_eq!(within(80), ["PACKETS REASON NETNS PROTO FLOW", all]);
        let some = "12 table_full 192.0.2.1:40000 → 198.51.100.1:53";
        assert_eq!(within(60), ["PACKETS REASON FLOW", some]);
        let few = "12 192.0.2.1:40000 → 198.51.100.1:53";
        assert_eq!(within(45), ["PACKETS FLOW", few]);
        assert_eq!(within(20), ["PACKETS FLOW", few]);
        assert_eq!(
            within(19),
            [
                "PACKETS FLOW",
                "12 table_full 192.0.2.1:40000 → 198.51.100.1:53"
            ]
        );
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
