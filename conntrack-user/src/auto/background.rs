//! The slow part of a fix that is made by itself: reading what decides the limit,
//! looking who fills the table, planning, and putting a step on record and into
//! files. None of it stands between a refused packet and a higher limit.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use conntrack_ebpf::Reason;

use crate::{
    apply::{Applied, keep, report::FixReport},
    auto::event::{Advice, Kept, PlanReport, What},
    engine::refusals::{Need, RefusedIn},
    facts::{Facts, live_files::LiveFiles, root::Root},
    incident::{self, Census, Incident, Kind, Netns, look},
    kernel::{defaults::Table, netns::Namespaces},
    plan::{
        self, LiveWrite, Plan,
        demand::{Demand, HowMany, RefusedFlows},
        filling_unknown, plan,
        sizing::{Request, affordable, size},
        text,
    },
    say::finding::Finding,
};

/// The host.
const ROOT: &str = "/";

/// What a step needs to know before it is made.
pub(crate) struct Prepared {
    pub(crate) facts: Facts,
    pub(crate) files: LiveFiles,
    /// No limit is set above this one.
    pub(crate) ceiling: u64,
}

impl Prepared {
    /// Reads it. Where nothing says how high, memory does; where that is not
    /// known either, nothing is raised.
    pub(crate) fn read(ceiling: Option<u64>) -> Result<Self> {
        let facts = Facts::read(&Root::open(Path::new(ROOT))?)?;
        Ok(Self {
            files: LiveFiles::of(&facts.kernel),
            ceiling: ceiling.or_else(|| affordable(&facts)).unwrap_or(0),
            facts,
        })
    }
}

/// What calls for a higher limit: packets that were refused, and what was in force then.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// What they lacked.
    pub need: Need,
    /// By network namespace.
    pub refused: Vec<RefusedIn>,
    /// Limit and buckets.
    pub table: Table,
}

impl Trigger {
    /// The demand that follows from it, by what namespaces are called; with the census
    /// of the one where most was refused, if there is one.
    pub fn demand(&self, netns: impl Fn(u32) -> Netns, census: Option<&Census>) -> Demand {
        let (reason, entries) = match self.need {
            Need::Room => (Reason::TableFull, Some(self.table.max)),
            Need::Buckets => (Reason::ChainTooLong, None),
        };
        let of = |refused: &RefusedIn| {
            let netns = netns(refused.netns);
            let flows = RefusedFlows {
                netns: netns.inode,
                many: HowMany::Flows(refused.flows),
            };
            let evidence = incident::Evidence {
                netns,
                entries,
                max: Some(self.table.max),
                refused: BTreeMap::from([(reason, refused.packets)]),
                ..incident::Evidence::default()
            };
            (evidence, flows)
        };
        let (namespaces, flows) = self.refused.iter().map(of).unzip();
        Demand::new(namespaces, flows, census)
    }

    /// The same, after a look who fills the table that is judged; and why there was
    /// none.
    fn demand_with_census(&self) -> Result<(Demand, Option<Finding>)> {
        let namespaces = Namespaces::discover()?;
        let netns = |inode| match namespaces.by_inode(inode) {
            Some(namespace) => Netns::of(namespace, namespaces.is_host(namespace)),
            None => nameless(inode),
        };
        let demand = self.demand(netns, None);
        let inode = demand.incident.netns.inode;
        let Some(namespace) = inode.and_then(|inode| namespaces.by_inode(inode)) else {
            let why = "the network namespace in which packets were refused is unknown";
            return Ok((demand, Some(filling_unknown(why))));
        };
        Ok(match look::at(namespace) {
            Ok(census) => (self.demand(netns, Some(&census)), None),
            Err(error) => (demand, Some(filling_unknown(format!("{error:#}")))),
        })
    }
}

/// A namespace that is gone, or was never known.
fn nameless(inode: u32) -> Netns {
    Netns {
        inode: Some(inode),
        name: "a network namespace without a name".to_owned(),
        ..Netns::default()
    }
}

/// What stands for the namespaces that packets were refused in before it is known
/// which they are.
pub(crate) fn any_namespace(inode: u32) -> Netns {
    Netns {
        inode: Some(inode),
        name: "a network namespace".to_owned(),
        is_host: true,
        ..Netns::default()
    }
}

/// What has come of it.
pub(crate) struct Done {
    pub(crate) what: Option<What>,
    /// Why packets were refused, if it was seen what fills the table.
    pub(crate) kind: Option<Kind>,
    pub(crate) advice: Advice,
    /// The highest limit that is honest then.
    pub(crate) honest: u64,
}

impl Done {
    fn failed(error: &anyhow::Error) -> Self {
        Self {
            what: Some(What::NotKept(format!("{error:#}"))),
            kind: None,
            advice: Advice::default(),
            honest: 0,
        }
    }
}

/// A plan, and what it rests on.
struct Considered {
    facts: Facts,
    incident: Incident,
    plan: Plan,
    /// Whether it was seen who fills the table.
    seen: bool,
}

impl Considered {
    /// Plans for the host as it was when packets were refused.
    fn of(trigger: &Trigger, ceiling: u64) -> Result<Self> {
        let root = Root::open(Path::new(ROOT))?;
        let mut facts = Facts::read(&root)?;
        facts.numbers.limits.max = Some(trigger.table.max);
        facts.numbers.limits.buckets = Some(trigger.table.buckets);
        let (demand, unknown) = trigger.demand_with_census()?;
        let request = Request {
            to: None,
            ceiling: Some(ceiling),
        };
        let size = size(&facts, &demand, request)?;
        let mut plan = plan(&root, &facts, size, plan::Options::default())?;
        let seen = unknown.is_none();
        plan.warnings.extend(unknown);
        Ok(Self {
            facts,
            incident: demand.incident,
            plan,
            seen,
        })
    }

    /// Whether a higher limit is no help.
    const fn is_ineffective(&self) -> bool {
        self.incident.fills_any_limit()
    }

    fn report(&self, applied: Option<&Applied>, lines: Vec<String>) -> Result<Box<PlanReport>> {
        let report = FixReport::of(&self.facts, &self.incident, &self.plan, applied);
        Ok(Box::new(PlanReport {
            json: serde_json::to_value(report).context("cannot write the plan as JSON")?,
            lines,
            id: applied.and_then(|applied| applied.id.clone()),
        }))
    }

    fn done(&self, what: Option<What>) -> Done {
        Done {
            what,
            kind: self.seen.then_some(self.incident.kind),
            advice: Advice::from(&self.incident),
            honest: self.plan.target.max,
        }
    }
}

/// What `ctdrop fix` would do about refused packets; the plan, or why there is none.
pub fn plan_only(trigger: &Trigger, ceiling: Option<u64>) -> What {
    let made = Prepared::read(ceiling).map(|prepared| make_plan(trigger, prepared.ceiling).what);
    match made {
        Ok(Some(what)) => what,
        Ok(None) => What::Failed("there is no plan".to_owned()),
        Err(error) => What::Failed(format!("cannot make a plan: {error:#}")),
    }
}

/// Makes a plan, and changes nothing.
pub(crate) fn make_plan(trigger: &Trigger, ceiling: u64) -> Done {
    let made = Considered::of(trigger, ceiling).and_then(|considered| {
        let lines = text::lines(
            &considered.facts,
            &considered.incident,
            &considered.plan,
            Path::new(ROOT),
        );
        let report = considered.report(None, lines)?;
        Ok(considered.done(Some(What::Planned(report))))
    });
    made.unwrap_or_else(|error| Done {
        what: Some(What::Failed(format!("cannot make a plan: {error:#}"))),
        ..Done::failed(&error)
    })
}

/// Looks who fills the table, and changes nothing.
pub(crate) fn diagnose_again(trigger: &Trigger, ceiling: u64) -> Done {
    match Considered::of(trigger, ceiling) {
        Ok(considered) => considered.done(None),
        Err(error) => Done {
            what: None,
            ..Done::failed(&error)
        },
    }
}

/// Puts a step on record, and what it has raised into files, as far as that is
/// honest.
pub(crate) fn keep_step(
    trigger: &Trigger,
    after: Table,
    writes: Vec<LiveWrite>,
    ceiling: u64,
) -> Done {
    let kept = Considered::of(trigger, ceiling).and_then(|mut considered| {
        let plan = &mut considered.plan;
        plan.live = writes;
        if considered.is_ineffective() && considered.plan.target.max <= trigger.table.max {
            // The step has bought time; nothing calls for making it last.
            considered.plan.files.clear();
        }
        let applied = keep(Path::new(ROOT), &considered.plan)?;
        let report = considered.report(Some(&applied), lines(&considered, &applied))?;
        let fix = applied.id.clone().map(|id| Kept {
            id,
            max: after.max,
            buckets: after.buckets,
        });
        Ok(considered.done(Some(What::Kept { report, fix })))
    });
    kept.unwrap_or_else(|error| Done::failed(&error))
}

/// What was kept, and what was not.
fn lines(considered: &Considered, applied: &Applied) -> Vec<String> {
    let Considered { incident, plan, .. } = considered;
    let mut lines = incident.sentences();
    lines.extend(
        plan.files
            .iter()
            .map(|file| format!("changed: {}", file.path.display())),
    );
    if plan.files.is_empty() {
        let why = if considered.is_ineffective() {
            "no file was changed: a higher limit does not help (see above)"
        } else {
            "no file had to be changed"
        };
        lines.push(why.to_owned());
    }
    lines.extend(
        incident
            .instead()
            .into_iter()
            .map(|instead| format!("instead: {instead}")),
    );
    for note in &plan.notes {
        lines.push(format!("to do elsewhere: {}: {}", note.what, note.why));
        lines.extend(note.snippet.lines().map(|line| format!("    {line}")));
    }
    lines.extend(
        plan.warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
    lines.extend(
        applied
            .shortfalls
            .iter()
            .map(|shortfall| format!("warning: {shortfall}")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::refused_flows::FlowRange;

    fn kind(need: Need, is_host: bool) -> Kind {
        let trigger = Trigger {
            need,
            refused: vec![RefusedIn {
                netns: 7,
                packets: 3,
                flows: FlowRange::of_packets(3),
            }],
            table: Table {
                max: 1000,
                buckets: 512,
            },
        };
        let netns = |inode| Netns {
            is_host,
            ..nameless(inode)
        };
        trigger.demand(netns, None).incident.kind
    }

    #[test]
    fn what_was_lacked_tells_the_cause() {
        assert_eq!(kind(Need::Room, true), Kind::Undersized);
        assert_eq!(kind(Need::Room, false), Kind::NoisyNamespace);
        assert_eq!(kind(Need::Buckets, true), Kind::FewBuckets);
    }
}
