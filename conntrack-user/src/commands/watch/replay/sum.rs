//! The totals of what was played back.

use std::{collections::HashMap, time::Duration};

use conntrack_ebpf::FlowCount;

use crate::{
    commands::watch::replay::{header::Losses, translate::namespaces},
    engine::{
        figures::Figures,
        names::Names,
        report::{NamespaceState, Report},
        rows::{Row, Rows, Subject, largest},
        update::Summary,
        view::{View, listing::Listing},
    },
    store::record::PastRun,
};

/// How many flows are added up. If there are more, those with the fewest packets go.
const FLOWS: usize = 100_000;

/// What was played back so far.
#[derive(Debug, Default)]
pub(super) struct Sum {
    figures: Figures,
    length: Duration,
    flows: HashMap<Subject, Row>,
    /// Rows that were left out, of one moment at least.
    omitted: usize,
    names: Names,
    seen: HashMap<u32, NamespaceState>,
    last: Option<Report>,
    losses: Option<Losses>,
}

impl Sum {
    /// Adds an interval.
    pub(super) fn add(&mut self, report: &Report) {
        self.figures = self.figures.and(&report.figures);
        self.length += report.length;
        self.names.join(&report.names);
        for state in &report.namespaces {
            self.seen.insert(state.netns, state.clone());
        }
        for row in &report.flows.top {
            let sum = self.flows.entry(row.subject).or_insert(Row {
                total: 0,
                count: FlowCount {
                    packets: 0,
                    ..row.count
                },
                ..*row
            });
            sum.count.packets += row.count.packets;
            sum.count.first = sum.count.first.min(row.count.first);
            sum.count.last = sum.count.last.max(row.count.last);
            sum.total = sum.count.packets;
        }
        self.omitted = self.omitted.max(report.flows.more);
        if self.flows.len() > 2 * FLOWS {
            let kept = largest(self.flows.drain().map(|(_, row)| row).collect(), FLOWS);
            self.omitted = self.omitted.max(kept.more);
            self.flows = kept.top.into_iter().map(|row| (row.subject, row)).collect();
        }
        self.last = Some(report.clone());
    }

    /// The rows that somebody looks at, after the interval of a report was added.
    pub(super) fn listing(&self, report: &Report, view: View) -> Listing {
        let recent: HashMap<&Subject, u64> = report
            .flows
            .top
            .iter()
            .map(|row| (&row.subject, row.count.packets))
            .collect();
        let flows: Vec<Row> = self
            .flows
            .values()
            .map(|row| Row {
                count: FlowCount {
                    packets: recent.get(&row.subject).copied().unwrap_or(0),
                    ..row.count
                },
                ..*row
            })
            .collect();
        let clock = report.clock;
        Listing::of_flows(flows.iter(), &self.names, view, report.length, clock)
    }

    /// Whether rows of flows were left out.
    pub(super) const fn omits_flows(&self) -> bool {
        self.omitted > 0
    }

    /// Takes in what the numbers of a run may lack.
    pub(super) fn lacks(&mut self, losses: Losses) {
        match &mut self.losses {
            Some(sum) => sum.add(&losses),
            None => self.losses = Some(losses),
        }
    }

    /// The totals; none if nothing was played back.
    pub(super) fn finish(
        self,
        run: &PastRun,
        top: usize,
        warnings: Vec<String>,
    ) -> Option<Summary> {
        let losses = self.losses.unwrap_or_default();
        let rows = largest(self.flows.into_values().collect(), top);
        let (states, namespaces_omitted) = namespaces(&self.figures.by_netns, &self.seen);
        let figures = Figures {
            discrepancy: losses.discrepancy,
            unchecked: losses.unchecked,
            recorded: Some(losses.reconciled),
            ..self.figures
        };
        let last = self.last?;
        Some(Summary {
            report: Report {
                length: self.length,
                top,
                figures,
                flows: Rows {
                    more: rows.more.max(self.omitted),
                    ..rows
                },
                names: self.names,
                namespaces: states,
                namespaces_omitted,
                missed: losses.missed,
                faults: losses.faults,
                error_bound: losses.error_bound,
                ..last
            },
            host: run.boot.host.clone(),
            release: run.boot.kernel.clone(),
            services: Vec::new(),
            omitted: None,
            warnings,
        })
    }
}
