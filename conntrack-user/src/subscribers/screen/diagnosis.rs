//! Why packets are refused, as all of ctdrop judges it.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    engine::report::Report,
    incident::{
        Census, Evidence, Incident, judge,
        lifecycle::{Change, Lifecycle},
    },
    subscribers::{recorder::evidence, recording::What},
};

/// The incidents that are open.
#[derive(Clone, Debug)]
pub(super) struct Diagnosis {
    life: Lifecycle,
    open: Vec<i64>,
    /// Those that the recorder has told of: it has read the tables.
    recorded: BTreeMap<i64, (u64, Incident)>,
    /// What the last interval has shown.
    seen: Vec<Evidence>,
}

impl Default for Diagnosis {
    fn default() -> Self {
        Self {
            life: Lifecycle::starting_with(1),
            open: Vec::new(),
            recorded: BTreeMap::new(),
            seen: Vec::new(),
        }
    }
}

impl Diagnosis {
    /// Takes in an interval.
    pub(super) fn take(&mut self, report: &Report) {
        self.seen = evidence::of(report);
        let now = Duration::from_nanos(report.monotonic);
        for change in self.life.look(now, report.length, &self.seen) {
            match change {
                Change::Opened(id) => self.open.push(id),
                Change::Closed(id, ..) => self.open.retain(|open| *open != id),
                Change::Revised(_) | Change::Look(..) => {}
            }
        }
    }

    /// Takes in what the recorder reports.
    pub(super) fn told(&mut self, what: &What) {
        match what {
            What::Opened(told) | What::Diagnosed(told) | What::Grown(told) => {
                let known = (told.refused, told.incident.clone());
                self.recorded.insert(told.id, known);
            }
            What::Closed(told) => {
                self.recorded.remove(&told.id);
            }
            _ => {}
        }
    }

    /// Takes in who is in the table of a namespace; the diagnosis with it.
    pub(super) fn take_census(&mut self, netns: u32, census: &Census) -> Incident {
        let id = self.open.iter().copied().find(|&id| {
            let case = self.life.case(id);
            case.is_some_and(|case| case.evidence.netns.inode == Some(netns))
        });
        if let Some(id) = id {
            self.life.take_census(id, census.clone());
            if let Some(case) = self.life.case(id) {
                return case.incident.clone();
            }
        }
        let of = |it: &&Evidence| it.netns.inode == Some(netns);
        let seen = self.seen.iter().find(of).cloned().unwrap_or_default();
        judge(&seen, Some(census))
    }

    /// The incident in which most packets were refused.
    pub(super) fn worst(&self) -> Option<&Incident> {
        if let Some((_, incident)) = self.recorded.values().max_by_key(|(refused, _)| *refused) {
            return Some(incident);
        }
        let cases = self.open.iter().filter_map(|&id| self.life.case(id));
        let worst = cases.max_by_key(|case| case.evidence.refused_in_all());
        worst.map(|case| &case.incident)
    }
}
