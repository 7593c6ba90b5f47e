//! The slow part of a fix that is made by itself: reading what decides the limit,
//! looking who fills the table, planning, and putting a step on record and into
//! files. None of it stands between a refused packet and a higher limit.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    apply::{Applied, keep, report::FixReport},
    auto::event::{Advice, Kept, Told, What},
    engine::refusals::Need,
    facts::{Facts, live_files::LiveFiles, root::Root},
    kernel::{counters::Totals, defaults::Table, netns::Namespaces},
    plan::{
        self, LiveWrite, Plan,
        diagnosis::{Cause, Diagnosis, Load, NamespaceLoad, diagnose},
        filling_unknown, occupants, plan,
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
    fn load_with_census(&self, facts: &Facts) -> Result<(Load, Option<Finding>)> {
        let namespaces = Namespaces::discover()?;
        let mut load = self.load(|netns| match namespaces.by_inode(netns) {
            Some(namespace) => (namespace.name.clone(), namespace.host),
            None => ("a network namespace without a name".to_owned(), false),
        });
        let most = self.refused.iter().max_by_key(|(_, refused)| *refused);
        let Some(namespace) = most.and_then(|&(netns, _)| namespaces.by_inode(netns)) else {
            let why = "the network namespace in which packets were refused is unknown";
            return Ok((load, Some(filling_unknown(why))));
        };
        match occupants::dump(namespace, &facts.numbers.timeouts) {
            Ok(occupants) => load.occupants = Some(occupants),
            Err(error) => return Ok((load, Some(filling_unknown(format!("{error:#}"))))),
        }
        Ok((load, None))
    }
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
struct Considered {
    facts: Facts,
    diagnosis: Diagnosis,
    plan: Plan,
    /// Whether it was seen who fills the table.
    seen: bool,
}

impl Considered {
    /// Plans for the host as it was when packets were refused.
    fn of(evidence: &Evidence, ceiling: u64) -> Result<Self> {
        let root = Root::open(Path::new(ROOT))?;
        let mut facts = Facts::read(&root)?;
        facts.numbers.limits.max = Some(evidence.table.max);
        facts.numbers.limits.buckets = Some(evidence.table.buckets);
        let (load, unknown) = evidence.load_with_census(&facts)?;
        let diagnosis = diagnose(&load, &facts.numbers.timeouts);
        let request = Request {
            to: None,
            ceiling: Some(ceiling),
        };
        let size = size(&facts, &load, &diagnosis, request)?;
        let mut plan = plan(&root, &facts, size, plan::Options::default())?;
        let seen = unknown.is_none();
        plan.warnings.extend(unknown);
        Ok(Self {
            facts,
            diagnosis,
            plan,
            seen,
        })
    }

    /// Whether a higher limit is no help.
    const fn is_ineffective(&self) -> bool {
        matches!(self.diagnosis.cause, Cause::Leak | Cause::Flood)
    }

    fn told(&self, applied: Option<&Applied>, lines: Vec<String>) -> Result<Box<Told>> {
        let report = FixReport::of(&self.facts, &self.diagnosis, &self.plan, applied);
        Ok(Box::new(Told {
            json: serde_json::to_value(report).context("cannot write the plan as JSON")?,
            lines,
            id: applied.and_then(|applied| applied.id.clone()),
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
    let made = Considered::of(evidence, ceiling).and_then(|considered| {
        let lines = text::lines(
            &considered.facts,
            &considered.diagnosis,
            &considered.plan,
            Path::new(ROOT),
        );
        let told = considered.told(None, lines)?;
        Ok(considered.done(Some(What::Planned(told))))
    });
    made.unwrap_or_else(|error| Done {
        what: Some(What::Failed(format!("cannot make a plan: {error:#}"))),
        ..Done::failed(&error)
    })
}

/// Looks who fills the table, and changes nothing.
pub(crate) fn diagnose_again(evidence: &Evidence, ceiling: u64) -> Done {
    match Considered::of(evidence, ceiling) {
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
    evidence: &Evidence,
    after: Table,
    writes: Vec<LiveWrite>,
    ceiling: u64,
) -> Done {
    let kept = Considered::of(evidence, ceiling).and_then(|mut considered| {
        let plan = &mut considered.plan;
        plan.live = writes;
        if considered.is_ineffective() && considered.plan.target.max <= evidence.table.max {
            // The step has bought time; nothing calls for making it last.
            considered.plan.files.clear();
        }
        let applied = keep(Path::new(ROOT), &considered.plan)?;
        let told = considered.told(Some(&applied), lines(&considered, &applied))?;
        let fix = applied.id.clone().map(|id| Kept {
            id,
            max: after.max,
            buckets: after.buckets,
        });
        Ok(considered.done(Some(What::Kept { told, fix })))
    });
    kept.unwrap_or_else(|error| Done::failed(&error))
}

/// What was kept, and what was not.
fn lines(considered: &Considered, applied: &Applied) -> Vec<String> {
    let Considered {
        diagnosis, plan, ..
    } = considered;
    let mut lines = vec![diagnosis.evidence.clone()];
    lines.extend(
        plan.files
            .iter()
            .map(|file| format!("changed: {}", file.path.display())),
    );
    if plan.files.is_empty() {
        let why = if considered.is_ineffective() {
            "no file was changed: a higher limit does not help against this"
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
