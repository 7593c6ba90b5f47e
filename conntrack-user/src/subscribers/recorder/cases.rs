//! Incidents as they are kept, beside their life: what is told and written of each.

use std::{collections::BTreeMap, mem, time::Duration};

use crate::{
    engine::report::Report,
    incident::{
        Evidence, Kind, Netns,
        lifecycle::{Case, Cause, Change, End, Lifecycle},
        words,
    },
    say::reason::reason_name,
    store::{
        incident::{Census, ClosedBy, Incident},
        moment::Moment,
    },
    subscribers::{
        census::Taken,
        recorder::directory::Directory,
        recording::{Told, What},
    },
};

/// The incidents that are open, and those to be written.
#[derive(Debug)]
pub(super) struct Cases {
    life: Lifecycle,
    open: BTreeMap<i64, Open>,
    changed: BTreeMap<i64, Incident>,
}

/// What is kept of an incident that is open.
#[derive(Debug)]
struct Open {
    row: Incident,
    /// What was told of it last.
    told: (Kind, Option<String>),
}

/// What follows from an interval.
#[derive(Debug, Default)]
pub(super) struct Follows {
    /// What is to be told.
    pub(super) told: Vec<What>,
    /// Tables to be looked at: the incident, why, and the namespace.
    pub(super) looks: Vec<(i64, Cause, u32)>,
}

impl Cases {
    /// None yet; the first one gets this number.
    pub(super) const fn starting_with(next: i64) -> Self {
        Self {
            life: Lifecycle::starting_with(next),
            open: BTreeMap::new(),
            changed: BTreeMap::new(),
        }
    }

    /// Whether any are open.
    pub(super) fn are_open(&self) -> bool {
        self.life.is_open()
    }

    /// Takes in what an interval has shown, and which namespaces are gone.
    pub(super) fn look(
        &mut self,
        report: &Report,
        at: Moment,
        new_flows: u64,
        seen: &[Evidence],
        gone: &[u32],
        directory: &mut Directory,
    ) -> Follows {
        let now = Duration::from_millis(at.mono.unsigned_abs());
        let mut changes: Vec<Change> = gone
            .iter()
            .filter_map(|&netns| self.life.gone(netns))
            .collect();
        changes.extend(self.life.look(now, report.length, seen));
        let mut follows = Follows::default();
        for open in self.open.values_mut() {
            open.row.flows += new_flows;
        }
        for change in changes {
            if let Change::Opened(id) = change
                && let Some(case) = self.life.case(id)
            {
                let netns = inode(&case.evidence.netns);
                let row = Incident {
                    id,
                    netns: directory.number(netns, &report.discovered, at),
                    opened: at,
                    flows: new_flows,
                    ..Incident::default()
                };
                let told = verdict(case);
                self.open.insert(id, Open { row, told });
                follows.looks.push((id, Cause::Opened, netns));
            }
            self.follow(change, at, &mut follows);
        }
        follows
    }

    fn follow(&mut self, change: Change, at: Moment, follows: &mut Follows) {
        match change {
            Change::Opened(id) => {
                self.revise(id, at);
                let told = self.life.case(id).map(|case| told(id, case));
                follows.told.extend(told.map(What::Opened));
            }
            Change::Revised(id) => {
                self.revise(id, at);
                follows.told.extend(self.diagnosed(id));
            }
            Change::Look(id, cause) => {
                if let Some(case) = self.life.case(id) {
                    follows.looks.push((id, cause, inode(&case.evidence.netns)));
                    follows.told.push(What::Grown(told(id, case)));
                }
            }
            Change::Closed(id, case, end) => follows.told.extend(self.close(id, &case, end, at)),
        }
    }

    /// Takes in who is in the table of an incident.
    pub(super) fn take_census(
        &mut self,
        id: i64,
        cause: Cause,
        at: Moment,
        taken: Taken,
    ) -> (Option<Census>, Option<What>) {
        let Taken { census, rows } = taken;
        let kept = Census {
            incident: id,
            at,
            cause: cause_name(cause).to_owned(),
            entries: census.entries,
            unreplied: census.unreplied,
            established: census.established,
            idle: census.idle,
            idle_unknown: census.idle_unknown,
            error_bound: census.error_bound,
            rows,
        };
        // It may be over by now: then this says what was in its table nevertheless.
        if self.life.take_census(id, census).is_none() {
            return (Some(kept), None);
        }
        if let (Some(open), Some(case)) = (self.open.get_mut(&id), self.life.case(id)) {
            fill(&mut open.row, case);
            self.changed.insert(id, open.row.clone());
        }
        let told = self.diagnosed(id).or_else(|| {
            let open = self.life.case(id)?;
            (cause == Cause::Opened).then(|| What::Grown(told(id, open)))
        });
        (Some(kept), told)
    }

    /// Nobody watches any more.
    pub(super) fn stop(&mut self, at: Moment) -> Vec<What> {
        let mut follows = Follows::default();
        for change in self.life.stop() {
            self.follow(change, at, &mut follows);
        }
        follows.told
    }

    /// Those of which something is new since the last time.
    pub(super) fn take_changed(&mut self) -> impl Iterator<Item = Incident> {
        mem::take(&mut self.changed).into_values()
    }

    fn revise(&mut self, id: i64, at: Moment) {
        if let (Some(open), Some(case)) = (self.open.get_mut(&id), self.life.case(id)) {
            open.row.last = at;
            fill(&mut open.row, case);
            self.changed.insert(id, open.row.clone());
        }
    }

    /// What is to be told of an incident, if it is another thing than was told.
    fn diagnosed(&mut self, id: i64) -> Option<What> {
        let (open, case) = (self.open.get_mut(&id)?, self.life.case(id)?);
        let now = verdict(case);
        if open.told == now {
            return None;
        }
        open.told = now;
        Some(What::Diagnosed(told(id, case)))
    }

    fn close(&mut self, id: i64, case: &Case, end: End, at: Moment) -> Option<What> {
        let mut row = self.open.remove(&id)?.row;
        fill(&mut row, case);
        let by = match end {
            End::Quiet => ClosedBy::Quiet,
            End::NetnsGone => ClosedBy::NetnsGone,
            End::Stopped => ClosedBy::Stopped,
        };
        row.closed = Some((at, by));
        self.changed.insert(id, row);
        let mut told = told(id, case);
        told.closed_by = Some(by);
        Some(What::Closed(told))
    }
}

/// What is told of an incident: why, and who.
fn verdict(case: &Case) -> (Kind, Option<String>) {
    let culprit = case.incident.culprit.as_ref();
    (case.incident.kind, culprit.map(words::culprit_name))
}

fn told(id: i64, case: &Case) -> Box<Told> {
    Box::new(Told {
        id,
        refused: case.evidence.refused_in_all(),
        incident: case.incident.clone(),
        closed_by: None,
    })
}

fn fill(row: &mut Incident, case: &Case) {
    let evidence = &case.evidence;
    let mut drops: BTreeMap<&str, u64> = BTreeMap::new();
    for (&reason, packets) in &evidence.refused {
        *drops.entry(reason_name(reason)).or_default() += packets;
    }
    row.refused = evidence.refused_in_all();
    row.drops = serde_json::to_string(&drops).unwrap_or_default();
    row.entries = evidence.entries;
    row.max = evidence.max;
    row.kind = code(&case.incident.kind);
    row.confidence = code(&case.incident.confidence);
    row.culprit = case.incident.culprit.as_ref().map(words::culprit);
    row.body = serde_json::to_string(&case.incident).unwrap_or_default();
}

/// A name as JSON has it.
fn code(name: &impl serde::Serialize) -> String {
    let name = serde_json::to_value(name).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}

const fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Opened => "opened",
        Cause::Peak => "peak",
        Cause::Doubled => "doubled",
    }
}

fn inode(netns: &Netns) -> u32 {
    netns.inode.unwrap_or(0)
}
