//! The slow part of a fix that is made by itself: reading what decides the limit,
//! looking who fills the table, planning, and putting a step on record and into
//! files. None of it stands between a refused packet and a higher limit.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    apply::{Applied, keep, report::FixReport},
    auto::{
        decide::Need,
        event::{Advice, Kept, Told, What},
    },
    facts::{Facts, live_files::LiveFiles, root::Root},
    kernel::{counters::Totals, defaults::Table, netns::Namespaces},
    plan::{
        self, LiveWrite, Plan,
        diagnosis::{Cause, Diagnosis, Load, NamespaceLoad, diagnose},
        occupants, plan,
        sizing::{Request, affordable, size},
        text,
    },
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

/// Packets that were refused, and what was in force then.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) need: Need,
    /// By network namespace; 0 is an unknown one.
    pub(crate) refused: Vec<(u32, u64)>,
    pub(crate) table: Table,
}

impl Evidence {
    /// The load that it shows, by what namespaces are called.
    pub(crate) fn load(&self, describe: impl Fn(u32) -> (String, bool)) -> Load {
        let namespaces = self.refused.iter().map(|&(netns, refused)| {
            let (name, is_host) = describe(netns);
            let (drop, chains, full) = match self.need {
                Need::Room => (refused, 0, Some(self.table.max)),
                Need::Buckets => (0, refused, None),
            };
            NamespaceLoad {
                name,
                is_host,
                entries: full,
                max: Some(self.table.max),
                growth: Some(Totals {
                    drop: Some(drop),
                    chaintoolong: Some(chains),
                    ..Totals::default()
                }),
            }
        });
        Load {
            namespaces: namespaces.collect(),
            ..Load::default()
        }
    }

    /// The load, with who fills the table where most was refused.
    fn look(&self, facts: &Facts) -> Result<(Load, Option<String>)> {
        let namespaces = Namespaces::discover()?;
        let mut load = self.load(|netns| match namespaces.by_inode(netns) {
            Some(namespace) => (namespace.name.clone(), namespace.host),
            None => ("a network namespace without a name".to_owned(), false),
        });
        let most = self.refused.iter().max_by_key(|(_, refused)| *refused);
        let Some(namespace) = most.and_then(|&(netns, _)| namespaces.by_inode(netns)) else {
            let why = "the namespace that packets were refused in is not known".to_owned();
            return Ok((load, Some(unseen(&why))));
        };
        match occupants::dump(namespace, &facts.numbers.timeouts) {
            Ok(occupants) => load.occupants = Some(occupants),
            Err(error) => return Ok((load, Some(unseen(&format!("{error:#}"))))),
        }
        Ok((load, None))
    }
}

/// Why nobody can say what fills the table.
pub(crate) fn unseen(why: &str) -> String {
    format!("who fills the table cannot be seen, so a leak or a flood is not told: {why}")
}

/// What has come of it.
pub(crate) struct Done {
    pub(crate) what: Option<What>,
    /// Why packets were refused, if that could be told.
    pub(crate) cause: Option<Cause>,
    pub(crate) advice: Advice,
    /// The highest limit that is honest then.
    pub(crate) honest: u64,
}

impl Done {
    fn failed(error: &anyhow::Error) -> Self {
        Self {
            what: Some(What::NotKept(format!("{error:#}"))),
            cause: None,
            advice: Advice::default(),
            honest: 0,
        }
    }
}

/// A plan, and what it rests on.
struct Thought {
    facts: Facts,
    diagnosis: Diagnosis,
    plan: Plan,
    /// Whether it was seen who fills the table.
    seen: bool,
}

impl Thought {
    /// Plans for the host as it was when packets were refused.
    fn of(evidence: &Evidence, ceiling: u64) -> Result<Self> {
        let root = Root::open(Path::new(ROOT))?;
        let mut facts = Facts::read(&root)?;
        facts.numbers.limits.max = Some(evidence.table.max);
        facts.numbers.limits.buckets = Some(evidence.table.buckets);
        let (load, unseen) = evidence.look(&facts)?;
        let diagnosis = diagnose(&load, &facts.numbers.timeouts);
        let request = Request {
            to: None,
            ceiling: Some(ceiling),
        };
        let size = size(&facts, &load, &diagnosis, request)?;
        let mut plan = plan(&root, &facts, size, plan::Options::default())?;
        let seen = unseen.is_none();
        plan.warnings.extend(unseen);
        Ok(Self {
            facts,
            diagnosis,
            plan,
            seen,
        })
    }

    /// Whether a higher limit is no help.
    const fn is_in_vain(&self) -> bool {
        matches!(self.diagnosis.cause, Cause::Leak | Cause::Flood)
    }

    fn told(&self, applied: Option<&Applied>, lines: Vec<String>) -> Result<Box<Told>> {
        let report = FixReport::of(&self.facts, &self.diagnosis, &self.plan, applied);
        Ok(Box::new(Told {
            json: serde_json::to_value(report).context("a plan cannot be told")?,
            lines,
            id: applied.and_then(|applied| applied.id.clone()),
            shortfalls: applied.map_or_else(Vec::new, |applied| applied.shortfalls.clone()),
        }))
    }

    fn done(&self, what: Option<What>) -> Done {
        Done {
            what,
            cause: self.seen.then_some(self.diagnosis.cause),
            advice: Advice::from(&self.diagnosis),
            honest: self.plan.target.max,
        }
    }
}

/// Makes a plan, and changes nothing.
pub(crate) fn make_plan(evidence: &Evidence, ceiling: u64) -> Done {
    let made = Thought::of(evidence, ceiling).and_then(|thought| {
        let lines = text::lines(
            &thought.facts,
            &thought.diagnosis,
            &thought.plan,
            Path::new(ROOT),
        );
        let told = thought.told(None, lines)?;
        Ok(thought.done(Some(What::Planned(told))))
    });
    made.unwrap_or_else(|error| Done {
        what: Some(What::Failed(format!("no plan can be made: {error:#}"))),
        ..Done::failed(&error)
    })
}

/// Looks who fills the table, and changes nothing.
pub(crate) fn look(evidence: &Evidence, ceiling: u64) -> Done {
    match Thought::of(evidence, ceiling) {
        Ok(thought) => thought.done(None),
        Err(error) => Done {
            what: None,
            ..Done::failed(&error)
        },
    }
}

/// Puts a step on record, and what it has raised into files, as far as that is
/// honest.
pub(crate) fn keep_step(
    evidence: &Evidence,
    after: Table,
    writes: Vec<LiveWrite>,
    ceiling: u64,
) -> Done {
    let kept = Thought::of(evidence, ceiling).and_then(|mut thought| {
        let plan = &mut thought.plan;
        plan.live = writes;
        if thought.is_in_vain() && thought.plan.target.max <= evidence.table.max {
            // The step has bought time; nothing calls for making it last.
            thought.plan.files.clear();
        }
        let applied = keep(Path::new(ROOT), &thought.plan)?;
        let told = thought.told(Some(&applied), lines(&thought, &applied))?;
        let fix = applied.id.clone().map(|id| Kept {
            id,
            max: after.max,
            buckets: after.buckets,
        });
        Ok(thought.done(Some(What::Kept { told, fix })))
    });
    kept.unwrap_or_else(|error| Done::failed(&error))
}

/// What was kept, and what was not.
fn lines(thought: &Thought, applied: &Applied) -> Vec<String> {
    let Thought {
        diagnosis, plan, ..
    } = thought;
    let mut lines = vec![diagnosis.evidence.clone()];
    lines.extend(
        plan.files
            .iter()
            .map(|file| format!("written: {}", file.path.display())),
    );
    if plan.files.is_empty() {
        let why = if thought.is_in_vain() {
            "no file was changed: a higher limit is no cure for this"
        } else {
            "no file had to be changed"
        };
        lines.push(why.to_owned());
    }
    lines.extend(
        diagnosis
            .instead
            .iter()
            .map(|instead| format!("instead: {instead}")),
    );
    for note in &plan.notes {
        lines.push(format!("elsewhere: {}: {}", note.what, note.why));
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
            .map(|shortfall| format!("does not hold: {shortfall}")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::numbers::Timeouts;

    fn cause(need: Need, is_host: bool) -> Cause {
        let evidence = Evidence {
            need,
            refused: vec![(7, 3)],
            table: Table {
                max: 1000,
                buckets: 512,
            },
        };
        let load = evidence.load(|netns| (format!("net:[{netns}]"), is_host));
        diagnose(&load, &Timeouts::new()).cause
    }

    #[test]
    fn what_was_lacked_tells_the_cause() {
        assert_eq!(cause(Need::Room, true), Cause::Undersized);
        assert_eq!(cause(Need::Room, false), Cause::NoisyNamespace);
        assert_eq!(cause(Need::Buckets, true), Cause::FewBuckets);
    }
}
