//! What was observed up to now, as it is shown.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;

use crate::{
    auto::{
        background::Trigger,
        event::{Event as Fix, What as Fixed},
    },
    engine::{
        header::Header,
        refusals::{Need, RefusedIn},
        refused_flows::FlowRange,
        report::Report,
        update::Update,
        view::listing::Listing,
    },
    kernel::defaults::Table,
    subscribers::{
        filling::Follower,
        recording::Recording,
        screen::{diagnosis::Diagnosis, events::Events, history::History, strip::Strip},
        text,
    },
};

/// What was observed up to now.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// None before the start.
    pub(super) header: Option<Header>,
    /// When the last interval was over: RFC 3339.
    pub(super) time: String,
    /// The limit in force.
    pub(super) limit: Option<String>,
    /// What does not match, or was not seen in time.
    pub(super) doubts: Vec<String>,
    pub(super) history: History,
    pub(super) strip: Strip,
    pub(super) listing: Option<Listing>,
    pub(super) events: Events,
    pub(super) diagnosis: Diagnosis,
    /// The last plan that was made without being asked for.
    pub(super) plan: Vec<String>,
    follower: Follower,
    demand: Demand,
}

/// What a plan is made for.
#[derive(Clone, Debug, Default)]
struct Demand {
    table: Option<Table>,
    room: BTreeMap<u32, u64>,
    chains: BTreeMap<u32, u64>,
    flows: u64,
    unattributed: u64,
}

impl Observed {
    /// Takes an update in.
    pub(super) fn take(&mut self, update: &Update) {
        match update {
            Update::Started(header) => self.begin(header),
            Update::Observer { time, event } => {
                self.events.add(time, &[text::event(time, *event)]);
            }
            Update::Netns(change) => self.events.add(&change.time, &[text::netns(change)]),
            Update::Limit(change) => {
                self.events
                    .add(&change.time, &[text::limit::change(change)]);
            }
            Update::Interval(report) => self.interval(report),
            Update::Listing(listing) => self.listing = Some((**listing).clone()),
            Update::Waiting { .. }
            | Update::Refused(_)
            | Update::Captured(_)
            | Update::Finished(_) => {}
        }
    }

    fn begin(&mut self, header: &Header) {
        *self = Self {
            header: Some(header.clone()),
            time: header.time.clone(),
            limit: Some(text::limit::at_start(header)),
            ..Self::default()
        };
    }

    fn interval(&mut self, report: &Report) {
        self.time.clone_from(&report.time);
        self.history.take(report);
        let filling = self.follower.see(report);
        self.strip.take(report, &filling);
        self.diagnosis.take(report);
        self.limit = text::limit::in_force(report).or_else(|| self.limit.take());
        let added_up = text::report::added_up(report);
        let doubts = added_up.into_iter().chain(text::report::doubt(report));
        self.doubts = doubts
            .map(|it| anstream::adapter::strip_str(&it).to_string())
            .collect();
        self.demand.take(report);
    }

    /// Takes in what was done about refused packets.
    pub(super) fn fixed(&mut self, fix: &Fix) {
        self.events.add(&fix.time, &fix.lines());
        if let Fixed::Planned(report) = &fix.what {
            self.plan.clone_from(&report.lines);
        }
    }

    /// Takes in what the recorder reports.
    pub(super) fn recorded(&mut self, recording: &Recording) {
        self.events.add(&recording.time, &recording.lines());
        self.diagnosis.told(&recording.what);
    }

    /// What a plan can be made for; none as long as no packet was refused that a higher
    /// limit or more buckets would let in.
    pub(super) fn trigger(&self) -> Option<Trigger> {
        self.demand.trigger()
    }
}

impl Demand {
    fn take(&mut self, report: &Report) {
        let figures = &report.figures;
        self.table = report
            .limit
            .as_ref()
            .map(|limit| limit.table)
            .or(self.table);
        for (&(netns, reason), &packets) in &figures.counts {
            let refused = match reason {
                Reason::TableFull => &mut self.room,
                Reason::ChainTooLong => &mut self.chains,
                _ => continue,
            };
            if packets > 0 {
                *refused.entry(netns).or_default() += packets;
            }
        }
        self.flows += figures.flows;
        self.unattributed += figures.unattributed;
    }

    fn trigger(&self) -> Option<Trigger> {
        let sum = |refused: &BTreeMap<u32, u64>| refused.values().sum::<u64>();
        let (need, refused) = if sum(&self.room) >= sum(&self.chains) {
            (Need::Room, &self.room)
        } else {
            (Need::Buckets, &self.chains)
        };
        let of = |(&netns, &packets): (&u32, &u64)| RefusedIn {
            netns,
            packets,
            flows: FlowRange {
                at_least: self.flows.clamp(1, packets),
                at_most: (self.flows + self.unattributed).clamp(1, packets),
            },
        };
        let refused: Vec<RefusedIn> = refused.iter().map(of).collect();
        Some(Trigger {
            need,
            table: self.table?,
            refused: (!refused.is_empty()).then_some(refused)?,
        })
    }
}
