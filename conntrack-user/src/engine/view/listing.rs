//! The rows that somebody looks at: those of a [`View`], counted since the start, with
//! the packets of the last interval.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use conntrack_ebpf::{FlowCount, FlowKey, ServiceKey};

use crate::{
    engine::{
        by::By,
        names::Names,
        rows::{Row, Rows, Subject, flow_subject, is_shown, is_summed, service_subject},
        select::Select,
        view::{
            View,
            filter::{Called, Matcher},
        },
    },
    kernel::process::Process,
    observe::{
        counts::tally::{Entry, Tally},
        observer::snapshot::Snapshot,
    },
    say::clock::Clock,
};

/// Rows of a view, and what they are called.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What was asked for.
    pub view: View,
    /// The rows. The packets of their count are those of [`Self::length`].
    pub rows: Rows,
    /// What namespaces and processes of the rows are called.
    pub names: Names,
    /// The time in which the packets of a row were counted.
    pub length: Duration,
    /// Turns the times of rows into wall-clock time.
    pub clock: Clock,
}

/// Packets lost by namespace, without those of which the flow is known alone.
pub(in crate::engine) struct ByNetns<'a> {
    /// Since the start.
    pub(in crate::engine) total: &'a BTreeMap<u32, u64>,
    /// Since the last report.
    pub(in crate::engine) recent: &'a BTreeMap<u32, u64>,
}

impl Called for &Snapshot {
    fn netns(&self, inode: u32) -> String {
        self.namespaces.name_of(inode)
    }

    fn sender(&self, pid: u32) -> Option<String> {
        self.senders.get(pid).map(Process::label)
    }
}

impl Called for &Names {
    fn netns(&self, inode: u32) -> String {
        Names::netns(self, inode)
    }

    fn sender(&self, pid: u32) -> Option<String> {
        self.process(pid).map(Process::label)
    }
}

impl Listing {
    /// Those of what was drained by now, in a period that has lasted `length`.
    pub(in crate::engine) fn collect(
        snapshot: &Snapshot,
        tally: &Tally,
        select: &Select,
        by_netns: &ByNetns<'_>,
        view: View,
        length: Duration,
    ) -> Self {
        let mut matcher = Matcher::new(&view.filter, snapshot);
        let all = view.filter.is_empty() && !select.chooses_flows();
        let rows = if view.by == By::Netns && all {
            namespaces(by_netns)
        } else {
            let mut sums = Sums::of(view.by);
            for (key, entry) in tally.flows() {
                let counts = match view.by {
                    By::Flow => is_shown(key.reason, select),
                    _ => is_summed(key.reason, select),
                };
                if counts && select.flow(key) && matcher.flow(key) {
                    sums.flow(key, entry);
                }
            }
            for (key, entry) in tally.services() {
                if is_summed(key.reason, select) && select.service(key) && matcher.service(key) {
                    sums.service(key, entry);
                }
            }
            sums.rows()
        };
        let rows = first(rows, &view);
        Self {
            names: Names::of(snapshot, std::iter::once(&rows)),
            rows,
            length,
            clock: Clock::now(),
            view,
        }
    }

    /// Those of flows that were added up elsewhere.
    pub fn of_flows<'a>(
        flows: impl Iterator<Item = &'a Row>,
        names: &Names,
        view: View,
        length: Duration,
        clock: Clock,
    ) -> Self {
        let select = Select::default();
        let mut matcher = Matcher::new(&view.filter, names);
        let mut sums = Sums::of(view.by);
        for row in flows {
            let Subject::Flow(key) = row.subject else {
                continue;
            };
            let counts = match view.by {
                By::Flow => is_shown(key.reason, &select),
                _ => is_summed(key.reason, &select),
            };
            if counts && matcher.flow(&key) {
                sums.flow(
                    &key,
                    &Entry {
                        count: FlowCount {
                            packets: row.total,
                            ..row.count
                        },
                        recent: row.count.packets,
                    },
                );
            }
        }
        Self {
            rows: first(sums.rows(), &view),
            names: names.clone(),
            length,
            clock,
            view,
        }
    }
}

/// Rows added up.
enum Sums {
    Flows(Vec<Row>),
    Groups(By, HashMap<Subject, Row>),
}

impl Sums {
    fn of(by: By) -> Self {
        match by {
            By::Flow => Self::Flows(Vec::new()),
            _ => Self::Groups(by, HashMap::new()),
        }
    }

    fn flow(&mut self, key: &FlowKey, entry: &Entry) {
        match self {
            Self::Flows(rows) => rows.push(row(Subject::Flow(*key), entry)),
            Self::Groups(by, sums) => {
                if let Some(subject) = flow_subject(key, *by) {
                    add(sums, row(subject, entry));
                }
            }
        }
    }

    fn service(&mut self, key: &ServiceKey, entry: &Entry) {
        if let Self::Groups(by, sums) = self
            && let Some(subject) = service_subject(key, *by)
        {
            add(sums, row(subject, entry));
        }
    }

    fn rows(self) -> Vec<Row> {
        match self {
            Self::Flows(rows) => rows,
            Self::Groups(_, sums) => sums.into_values().collect(),
        }
    }
}

fn row(subject: Subject, entry: &Entry) -> Row {
    Row {
        subject,
        count: FlowCount {
            packets: entry.recent,
            ..entry.count
        },
        total: entry.count.packets,
    }
}

fn add(sums: &mut HashMap<Subject, Row>, row: Row) {
    let known = sums.entry(row.subject);
    known
        .and_modify(|sum| {
            sum.total += row.total;
            sum.count.packets += row.count.packets;
            sum.count.last = sum.count.last.max(row.count.last);
            // Of packets without a flow no time is known.
            sum.count.first = match (sum.count.first, row.count.first) {
                (0, first) | (first, 0) => first,
                (one, other) => one.min(other),
            };
        })
        .or_insert(row);
}

fn namespaces(by_netns: &ByNetns<'_>) -> Vec<Row> {
    let lost = by_netns.total.iter().filter(|(_, total)| **total > 0);
    let rows = lost.map(|(&netns, &total)| Row {
        subject: Subject::Netns(netns),
        count: FlowCount {
            packets: by_netns.recent.get(&netns).copied().unwrap_or(0),
            ..FlowCount::default()
        },
        total,
    });
    rows.collect()
}

/// The first rows, in the order of the view.
fn first(mut rows: Vec<Row>, view: &View) -> Rows {
    let more = rows.len().saturating_sub(view.rows);
    if more > 0 && view.rows > 0 {
        rows.select_nth_unstable_by(view.rows - 1, |one, other| view.order(one, other));
    }
    rows.truncate(view.rows);
    rows.sort_by(|one, other| view.order(one, other));
    Rows { top: rows, more }
}

#[cfg(test)]
mod tests {
    use conntrack_ebpf::Reason;

    use super::*;
    use crate::engine::view::{Sort, filter::Filter};

    fn flow(host: u8, port: u16, recent: u64, total: u64, first: u64) -> Row {
        let mut src = [0; 16];
        src[..4].copy_from_slice(&[10, 0, 0, host]);
        Row {
            subject: Subject::Flow(FlowKey {
                src,
                dst: [0; 16],
                netns: 1,
                sport: 1000,
                dport: port,
                zone: 0,
                family: 2,
                protocol: 17,
                reason: Reason::TableFull as u32,
                sender: 0,
            }),
            count: FlowCount {
                packets: recent,
                first,
                last: first + 10,
            },
            total,
        }
    }

    fn listing(view: View) -> Vec<(u64, u64)> {
        let flows = [
            flow(1, 53, 0, 100, 3),
            flow(2, 53, 5, 5, 9),
            flow(3, 80, 2, 50, 1),
        ];
        let names = Names::default();
        let listing = Listing::of_flows(
            flows.iter(),
            &names,
            view,
            Duration::from_secs(1),
            Clock::now(),
        );
        let rows = listing.rows.top.iter();
        rows.map(|row| (row.count.packets, row.total)).collect()
    }

    #[test]
    fn a_flow_that_is_quiet_now_stays() {
        assert_eq!(listing(View::default()), [(5, 5), (2, 50), (0, 100)]);
    }

    #[test]
    fn rows_are_sorted_by_each_column_both_ways() {
        let sorted = |sort| View {
            sort,
            ..View::default()
        };
        assert_eq!(listing(sorted(Sort::Total)), [(0, 100), (2, 50), (5, 5)]);
        assert_eq!(listing(sorted(Sort::First)), [(5, 5), (0, 100), (2, 50)]);
        let reversed = View {
            reversed: true,
            ..sorted(Sort::Last)
        };
        assert_eq!(listing(reversed), [(2, 50), (0, 100), (5, 5)]);
        let one = View {
            rows: 1,
            ..sorted(Sort::Total)
        };
        assert_eq!(listing(one), [(0, 100)]);
    }

    #[test]
    fn sums_are_of_the_flows_that_are_looked_for() {
        let view = View {
            by: By::Service,
            filter: Filter::parse("53"),
            ..View::default()
        };
        assert_eq!(listing(view), [(5, 105)]);
    }
}
