//! Reports as text for people.

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};
use conntrack_ebpf::FlowKey;

use crate::{
    engine::{
        chosen::Change,
        header::Header,
        report::{NamespaceState, Report},
        rows::{Row, Rows, Subject},
    },
    kernel::netns::Namespaces,
    observe::{
        backend::Backend,
        check::{counter::Counter, discrepancy::Discrepancy, proof::Range},
        counts::senders::Senders,
        observer::event::Event,
        survey::unusable::Unusable,
    },
    say::{
        clock,
        number::{counted, number, optional},
        port::{Services, endpoint, port_text},
        protocol::{address, has_ports, is_icmp, protocol_name},
        reason::reason_text,
        text::plain,
    },
};

const BOLD: Style = Style::new().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();

/// What is needed to write numbers as names.
pub struct Names<'a> {
    /// Of namespaces.
    pub namespaces: &'a Namespaces,
    /// Of ports; empty unless asked for.
    pub services: &'a Services,
    /// Of processes.
    pub senders: &'a Senders,
}

/// The header: where this runs, and how well it can see.
pub fn header(header: &Header) -> Vec<String> {
    let mut lines = vec![format!(
        "{BOLD}ctdrop {}{BOLD:#} on {}, Linux {}",
        env!("CARGO_PKG_VERSION"),
        plain(&header.host),
        plain(&header.release)
    )];
    lines.push(format!(
        "backend  {}: {}",
        header.backend,
        match header.backend {
            Backend::Fexit | Backend::Kprobe => "every reason, every flow",
            Backend::Tracepoint =>
                "flows of packets that got no entry; other reasons from the kernel's counters",
            Backend::Counters => "how many packets, and reasons as far as they are proved; no flow",
        }
    ));
    // What stands in the way of several backends is said once.
    let why: Vec<(&Unusable, String)> = header.not_used.iter().map(|it| (it, it.why())).collect();
    for same in why.chunk_by(|(_, a), (_, b)| a == b) {
        let backends: Vec<String> = same.iter().map(|(it, _)| it.backend.to_string()).collect();
        lines.push(format!(
            "         not {}: {}",
            backends.join(", "),
            same[0].1
        ));
    }
    lines.extend(header.warnings.iter().map(|warning| note(warning)));
    if !header.armed {
        lines.push(
            "         at rest: without pressure refused packets are counted, but not by flow"
                .to_owned(),
        );
    }
    if header.pins_module {
        lines.push("         module nf_conntrack cannot be unloaded while this runs".to_owned());
    }
    let limits = &header.limits;
    let place = match &header.only {
        Some(only) => format!("in {}", plain(&only.netns_name)),
        None => "here".to_owned(),
    };
    let entries = if limits.entries == Some(1) {
        "entry"
    } else {
        "entries"
    };
    lines.push(format!(
        "limit    {} entries in each namespace, {} buckets; {} {entries} {place} now",
        optional(limits.max),
        optional(limits.buckets),
        optional(limits.entries)
    ));
    lines
}

/// Something that changes how well refusals are seen.
pub fn event(event: Event) -> String {
    let what = match event {
        Event::Armed => "armed: pressure, from now on every refusal has its flow",
        Event::AtRest => "at rest: no pressure for a while",
        Event::Unloaded => "module nf_conntrack was unloaded: waiting for it to come back",
        Event::Released => {
            "nobody else needs module nf_conntrack: let go of it, so that it can be unloaded"
        }
        Event::Attached => "attached again: module nf_conntrack is needed",
    };
    format!("{}  {what}", clock::now())
}

/// Something has become of the namespace asked for.
pub fn chosen(name: &str, change: &Change) -> String {
    let name = plain(name);
    let what = match change {
        Change::Gone => format!("{BAD}network namespace {name} is gone{BAD:#}"),
        Change::Renamed { now } => {
            format!(
                "what network namespace {name} was known by is gone: it is now {}",
                plain(now)
            )
        }
    };
    format!("{}  {what}", clock::now())
}

/// A warning, before the numbers or after them.
pub fn note(warning: &str) -> String {
    format!("note     {}", plain(warning))
}

/// An interval, or on a screen the latest state.
pub fn interval(report: &Report, names: &Names<'_>) -> Vec<String> {
    let figures = &report.figures;
    let total = figures.total();
    let style = if total == 0 { BOLD } else { BAD };
    let mut line = format!(
        "{}  {style}{} refused{style:#} in {:.1} s",
        clock::now(),
        number(total),
        report.period.as_secs_f64()
    );
    line.push_str(&reasons(report));
    let mut lines = vec![line];
    lines.extend(report.namespaces.iter().map(namespace));
    lines.extend(table(report, names));
    if !figures.reconciled() {
        lines.push(verdict(report));
    }
    lines
}

/// The totals at the end.
pub fn summary(report: &Report, names: &Names<'_>) -> Vec<String> {
    let figures = &report.figures;
    let mut lines = vec![format!(
        "{BOLD}Total in {:.1} s: {} refused{BOLD:#}{}",
        report.period.as_secs_f64(),
        number(figures.total()),
        reasons(report)
    )];
    lines.extend(report.namespaces.iter().map(namespace));
    lines.extend(table(report, names));
    if figures.unattributed > 0 && report.backend != Backend::Counters {
        lines.push(format!(
            "{} of them without a flow of their own: counted by reason and, where there was room, \
             by destination",
            number(figures.unattributed)
        ));
    }
    lines.extend(lost_between(figures.range));
    if report.error_bound > 0 {
        lines.push(format!(
            "more flows than have room: a flow's count can be up to {} too low",
            number(report.error_bound)
        ));
    }
    if report.missed.sum() > 0 {
        lines.push(format!(
            "the kernel skipped {} program runs",
            number(report.missed.sum())
        ));
    }
    if report.faults.unreadable > 0 || report.faults.join_lost > 0 {
        lines.push(format!(
            "{} packets could not be read, {} marks found no room",
            number(report.faults.unreadable),
            number(report.faults.join_lost)
        ));
    }
    let grown: Vec<String> = figures
        .kernel
        .iter()
        .map(|(&counter, &grown)| format!("{} +{}", counter_name(counter), number(grown)))
        .collect();
    lines.push(format!("kernel   {}", grown.join(", ")));
    lines.extend(report.logged.map(|logged| {
        format!(
            "log      {} lines about a full table, {} network messages suppressed, {} lost",
            number(logged.lines),
            number(logged.suppressed),
            number(logged.lost)
        )
    }));
    lines.push(verdict(report));
    lines
}

/// `: table_full 12, clash 3; 4 evicted`
fn reasons(report: &Report) -> String {
    let figures = &report.figures;
    let parts: Vec<String> = figures
        .drops
        .iter()
        .filter(|&(_, &packets)| packets > 0)
        .map(|(name, &packets)| format!("{name} {}", number(packets)))
        .collect();
    let losses = if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    };
    let besides = [
        ("evicted", figures.evicted),
        ("clashes resolved", figures.clash_resolved),
        ("entries refused that no packet wanted", figures.non_packet),
    ];
    let besides = besides
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .map(|(what, count)| format!("; {} {what}", number(count)));
    losses + &besides.collect::<String>()
}

/// `lost are between 103 and 106`, where counters leave it open.
fn lost_between(range: Option<Range>) -> Option<String> {
    let Range { at_least, at_most } = range?;
    (at_least != at_most).then(|| {
        format!(
            "lost are between {} and {} packets: one packet can move two counters",
            number(at_least),
            number(at_most)
        )
    })
}

fn namespace(state: &NamespaceState) -> String {
    let share = match (state.limits.entries, state.limits.max) {
        (Some(entries), Some(max)) if max > 0 => format!(" ({} %)", entries * 100 / max),
        _ => String::new(),
    };
    if state.limits.entries.is_none() {
        return format!("  {}: no longer to be read", plain(&state.name));
    }
    format!(
        "  {}: {} of {} entries{share}",
        plain(&state.name),
        optional(state.limits.entries),
        optional(state.limits.max)
    )
}

fn verdict(report: &Report) -> String {
    let figures = &report.figures;
    if figures.kernel.is_empty() {
        return format!(
            "{BAD}not checked{BAD:#}: conntrack's counters cannot be read here \
             (/proc/net/stat/nf_conntrack)"
        );
    }
    if !figures.reconciled() {
        return format!(
            "{BAD}discrepancy{BAD:#}: {}",
            discrepancy(figures.discrepancy)
        );
    }
    if report.backend == Backend::Counters {
        return "from kernel counters only; no cross-check possible".to_owned();
    }
    let except = match figures.unchecked {
        0 => String::new(),
        unchecked => format!(
            ", except for {} refused after the last look at the counters of {}",
            counted(unchecked, "packet"),
            if unchecked == 1 {
                "its namespace"
            } else {
                "their namespaces"
            }
        ),
    };
    format!("{GOOD}reconciled{GOOD:#}: the counts match the kernel's counters{except}")
}

/// Counts that do not match.
fn discrepancy(discrepancy: Discrepancy) -> String {
    let Discrepancy {
        unconfirmed,
        unseen,
    } = discrepancy;
    let match_ = |count| if count == 1 { "matches" } else { "match" };
    let packets = format!(
        "{} {} no kernel counter",
        counted(unconfirmed, "packet"),
        match_(unconfirmed)
    );
    let increments = format!(
        "{} of kernel counters {} no packet",
        counted(unseen, "increment"),
        match_(unseen)
    );
    match (unconfirmed, unseen) {
        (_, 0) => packets,
        (0, _) => increments,
        _ => format!("{packets}, {increments}"),
    }
}

fn table(report: &Report, names: &Names<'_>) -> Vec<String> {
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
        let mut line = cells(row, names);
        line.extend(any_sender.then(|| sent_by(sender(row), names)));
        table.add_row(line);
    }
    if let Some(packets) = table.column_mut(0) {
        packets.set_cell_alignment(CellAlignment::Right);
    }
    let mut lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.extend(more(rows));
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

fn sent_by(pid: u32, names: &Names<'_>) -> String {
    match names.senders.get(pid) {
        Some(process) => plain(&process.label()),
        None if pid == 0 => "-".to_owned(),
        None => format!("[{pid}]"),
    }
}

fn more(rows: &Rows) -> Option<String> {
    (rows.more > 0).then(|| format!("  and {} more (--top)", number(rows.more as u64)))
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

fn cells(row: &Row, names: &Names<'_>) -> Vec<String> {
    let netns = |inode| plain(&names.namespaces.name_of(inode));
    let mut cells = vec![number(row.count.packets)];
    match row.subject {
        Subject::Flow(key) => cells.extend([
            reason_text(key.reason),
            netns(key.netns),
            protocol_name(key.protocol),
            flow(&key, names.services),
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
            endpoint(
                &address.to_string(),
                &port_text(protocol, port, names.services),
            ),
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

/// As `conntrack -S` calls it.
const fn counter_name(counter: Counter) -> &'static str {
    match counter {
        Counter::Drop => "drop",
        Counter::InsertFailed => "insert_failed",
        Counter::EarlyDrop => "early_drop",
        Counter::ClashResolve => "clash_resolve",
        Counter::ChainTooLong => "chaintoolong",
    }
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
