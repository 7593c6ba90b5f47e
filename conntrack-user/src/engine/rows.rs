//! The rows of a report: flows, or what flows are added up by.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use conntrack_ebpf::{FlowCount, FlowKey, Reason, ServiceKey};

use crate::{
    engine::{by::By, select::Select},
    observe::counts::tally::{Entry, Tally, is_drop},
    say::protocol::address,
};

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One flow, with one reason.
    Flow(FlowKey),
    /// A source or destination address in a namespace.
    Address {
        /// Inode of the namespace.
        netns: u32,
        /// The address.
        address: IpAddr,
    },
    /// Where packets wanted to go.
    Service {
        /// Inode of the namespace.
        netns: u32,
        /// Destination address.
        address: IpAddr,
        /// IP protocol.
        protocol: u8,
        /// Destination port, or ICMP type and code.
        port: u16,
    },
    /// A namespace, by inode.
    Netns(u32),
    /// A reason, by number.
    Reason(u32),
    /// A process of this host, by number; 0 for packets that came from
    /// elsewhere, or whose sender is not known.
    Sender(u32),
}

impl Subject {
    /// The network namespace that it is in, by inode.
    pub(super) const fn netns(&self) -> Option<u32> {
        match *self {
            Self::Flow(FlowKey { netns, .. })
            | Self::Address { netns, .. }
            | Self::Service { netns, .. }
            | Self::Netns(netns) => Some(netns),
            Self::Reason(_) | Self::Sender(_) => None,
        }
    }
}

/// A row and its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub subject: Subject,
    /// Packets of the period, and the first and last time since the start.
    pub count: FlowCount,
    /// Packets since the start; of sums, and of namespaces, those of the period.
    pub total: u64,
}

/// Which packets are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Those since the last report.
    Interval,
    /// All.
    Total,
}

/// The rows with the most packets, and how many more there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Most packets first.
    pub top: Vec<Row>,
    /// Rows left out.
    pub more: usize,
}

impl Rows {
    /// The rows of two intervals added up, no more than `top`. A row that one of the
    /// two has left out lacks the packets of that one.
    pub(super) fn merged(&self, later: &Self, top: usize) -> Self {
        let mut sums: HashMap<Subject, Row> = HashMap::new();
        for row in self.top.iter().chain(&later.top) {
            sums.entry(row.subject)
                .and_modify(|sum| {
                    add(&mut sum.count, &row.count);
                    sum.total = sum.total.max(row.total);
                })
                .or_insert(*row);
        }
        let merged = largest(sums.into_values().collect(), top);
        Self {
            more: merged.more + self.more.max(later.more),
            ..merged
        }
    }
}

fn add(sum: &mut FlowCount, count: &FlowCount) {
    sum.packets += count.packets;
    sum.first = sum.first.min(count.first);
    sum.last = sum.last.max(count.last);
}

/// Adds up the flows that are selected, and keeps the largest `top` sums.
pub fn rows(tally: &Tally, select: &Select, by: By, period: Period, top: usize) -> Rows {
    let rows = if by == By::Flow {
        let rows = tally
            .flows()
            .filter(|(key, _)| select.flow(key) && is_shown(key.reason, select))
            .filter_map(|(&key, entry)| row(Subject::Flow(key), entry, period));
        exactly(rows)
    } else {
        grouped(tally, select, by, period)
    };
    largest(rows, top)
}

/// The rows with the most packets, those that were first in front.
pub fn largest(mut rows: Vec<Row>, top: usize) -> Rows {
    let order = |row: &Row| (Reverse(row.count.packets), row.count.first);
    let more = rows.len().saturating_sub(top);
    if more > 0 && top > 0 {
        rows.select_nth_unstable_by_key(top - 1, order);
    }
    rows.truncate(top);
    rows.sort_unstable_by_key(order);
    Rows { top: rows, more }
}

/// Namespaces by the packets lost in each, without their times.
pub fn rows_by_netns(lost: &BTreeMap<u32, u64>, top: usize) -> Rows {
    let row = |(&netns, &packets): (&u32, &u64)| Row {
        subject: Subject::Netns(netns),
        count: FlowCount {
            packets,
            ..FlowCount::default()
        },
        total: packets,
    };
    largest(
        lost.iter()
            .map(row)
            .filter(|row| row.count.packets > 0)
            .collect(),
        top,
    )
}

/// Collects without the spare room that a growing list takes: with all flows
/// in it, that would be the largest single piece of memory.
fn exactly(rows: impl Iterator<Item = Row> + Clone) -> Vec<Row> {
    let mut list = Vec::with_capacity(rows.clone().count());
    list.extend(rows);
    list
}

/// Lost packets and victims are shown; what ended well only when asked for.
pub(super) fn is_shown(reason: u32, select: &Select) -> bool {
    let asked_for = select.all_flows || !select.reasons.is_empty();
    is_drop(reason) || reason == Reason::Evicted as u32 || asked_for
}

/// Sums are of lost packets, unless reasons are asked for.
pub(super) fn is_summed(reason: u32, select: &Select) -> bool {
    is_drop(reason) || !select.reasons.is_empty()
}

fn row(subject: Subject, entry: &Entry, period: Period) -> Option<Row> {
    let packets = match period {
        Period::Interval => entry.recent,
        Period::Total => entry.count.packets,
    };
    let count = FlowCount {
        packets,
        ..entry.count
    };
    (packets > 0).then_some(Row {
        subject,
        count,
        total: entry.count.packets,
    })
}

fn grouped(tally: &Tally, select: &Select, by: By, period: Period) -> Vec<Row> {
    let mut sums: HashMap<Subject, FlowCount> = HashMap::new();
    let flows = tally
        .flows()
        .filter(|(key, _)| select.flow(key) && is_summed(key.reason, select))
        .filter_map(|(key, entry)| row(flow_subject(key, by)?, entry, period));
    let services = tally
        .services()
        .filter(|(key, _)| select.service(key) && is_summed(key.reason, select))
        .filter_map(|(key, entry)| row(service_subject(key, by)?, entry, period));
    for Row { subject, count, .. } in flows.chain(services) {
        sums.entry(subject)
            .and_modify(|sum| add(sum, &count))
            .or_insert(count);
    }
    sums.into_iter()
        .map(|(subject, count)| Row {
            subject,
            count,
            total: count.packets,
        })
        .collect()
}

pub(super) fn flow_subject(key: &FlowKey, by: By) -> Option<Subject> {
    match by {
        By::Flow => Some(Subject::Flow(*key)),
        By::Src => Some(Subject::Address {
            netns: key.netns,
            address: address(key.family, key.src),
        }),
        By::Sender => Some(Subject::Sender(key.sender)),
        By::Dst | By::Service | By::Netns | By::Reason => {
            service_subject(&ServiceKey::from(key), by)
        }
    }
}

/// Of packets without a flow neither source nor sender is known.
pub(super) fn service_subject(key: &ServiceKey, by: By) -> Option<Subject> {
    let netns = key.netns;
    Some(match by {
        By::Flow | By::Src => return None,
        By::Sender => Subject::Sender(0),
        By::Dst => Subject::Address {
            netns,
            address: address(key.family, key.dst),
        },
        By::Service => Subject::Service {
            netns,
            address: address(key.family, key.dst),
            protocol: key.protocol,
            port: key.dport,
        },
        By::Netns => Subject::Netns(netns),
        By::Reason => Subject::Reason(key.reason),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::counts::sink::Sink as _;

    fn flow(host: u8, port: u16, reason: Reason) -> FlowKey {
        let mut src = [0; 16];
        src[..4].copy_from_slice(&[10, 0, 0, host]);
        FlowKey {
            src,
            dst: [0; 16],
            netns: 1,
            sport: 1000 + port,
            dport: port,
            zone: 0,
            family: 2,
            protocol: 17,
            reason: reason as u32,
            sender: 0,
        }
    }

    fn tally() -> Tally {
        let count = |packets| FlowCount {
            packets,
            first: 5,
            last: 9,
        };
        let mut tally = Tally::default();
        tally.flow(flow(1, 53, Reason::TableFull), count(3));
        tally.start_interval();
        tally.flow(flow(1, 80, Reason::TableFull), count(4));
        tally.flow(flow(2, 53, Reason::TableFull), count(5));
        tally.flow(flow(3, 53, Reason::Evicted), count(100));
        tally.flow(flow(4, 53, Reason::ClashResolved), count(100));
        tally.service(ServiceKey::from(&flow(9, 53, Reason::TableFull)), 7);
        tally
    }

    fn packets(by: By, period: Period, top: usize) -> (Vec<u64>, usize) {
        let rows = rows(&tally(), &Select::default(), by, period, top);
        let packets = rows.top.iter().map(|row| row.count.packets).collect();
        (packets, rows.more)
    }

    #[test]
    fn flows_are_ranked_and_the_rest_is_counted() {
        assert_eq!(packets(By::Flow, Period::Total, 2), (vec![100, 5], 2));
        assert_eq!(packets(By::Flow, Period::Interval, 9), (vec![100, 5, 4], 0));
        assert_eq!(packets(By::Flow, Period::Total, 0), (vec![], 4));
    }

    #[test]
    fn rows_of_two_intervals_are_added_up() {
        let of = |period| rows(&tally(), &Select::default(), By::Flow, period, 2);
        let (earlier, later) = (of(Period::Interval), of(Period::Total));
        let merged = earlier.merged(&later, 2);
        let packets: Vec<u64> = merged.top.iter().map(|row| row.count.packets).collect();
        assert_eq!(packets, [200, 10]);
        assert_eq!(merged.more, 2);
        assert_eq!(merged.merged(&Rows::default(), 1).more, 3);
    }

    #[test]
    fn sums_are_of_lost_packets() {
        assert_eq!(packets(By::Src, Period::Total, 9), (vec![7, 5], 0));
        assert_eq!(packets(By::Service, Period::Total, 9), (vec![15, 4], 0));
        assert_eq!(packets(By::Netns, Period::Total, 9), (vec![19], 0));
        assert_eq!(packets(By::Reason, Period::Total, 9), (vec![19], 0));
    }

    #[test]
    fn a_reason_asked_for_is_shown_even_if_nothing_was_lost() {
        let select = Select {
            reasons: vec![Reason::ClashResolved.into()],
            ..Select::default()
        };
        let rows = rows(&tally(), &select, By::Src, Period::Total, 9);
        assert_eq!(rows.top[0].count.packets, 100);
    }
}
