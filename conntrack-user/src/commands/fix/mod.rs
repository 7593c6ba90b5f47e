//! `ctdrop fix`: plans a fix, shows it, and carries it out.

pub(crate) mod text;

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use crate::{
    apply::{Applied, apply, report::FixReport},
    commands::unread,
    facts::{Facts, root::Root},
    incident::{Evidence, Incident, look},
    kernel::surroundings::Surroundings,
    observe::{
        check::proof::PacketRange,
        usage::{self, NamespaceUse},
    },
    plan::{
        self, Plan,
        demand::{Demand, HowMany, RefusedFlows},
        plan, script,
        sizing::{Request, size},
        text as plan_text,
    },
    say::{
        finding::{Code, Finding, State},
        output::Output,
    },
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Form of the output.
    pub output: Output,
    /// The tree to change; `/` is the running host.
    pub root: PathBuf,
    /// The limit to set; without it the load decides.
    pub to: Option<u64>,
    /// What to do with the plan.
    pub action: Action,
    /// Whether to make lines comments that set something else and do not count.
    pub edit_conflicts: bool,
    /// Time between the two looks at the kernel's counters.
    pub interval: Duration,
}

/// What to do with the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Show it, ask, and carry it out.
    Ask,
    /// Show it.
    Show,
    /// Carry it out without asking.
    Apply,
    /// Print a shell script that carries it out.
    EmitScript,
}

/// Plans a fix, shows it and, if it is wanted, carries it out. The state is unknown
/// if the load decides, and not all of it could be seen.
pub fn run(options: &Options) -> Result<State> {
    let root = Root::open(&options.root)?;
    let facts = Facts::read(&root)?;
    let Seen {
        demand,
        out_of_sight,
        filling_unknown,
    } = see(&root, &facts, options);
    let state = state(&out_of_sight, options.to);
    let request = Request {
        to: options.to,
        ceiling: None,
    };
    let size = size(&facts, &demand, request)?;
    let how = plan::Options {
        edit_conflicts: options.edit_conflicts,
    };
    let mut plan = plan(&root, &facts, size, how)?;
    plan.warnings.extend(out_of_sight);
    plan.warnings.extend(filling_unknown);
    if options.action == Action::EmitScript {
        let script = script::of(&facts, &plan)?;
        say(|out| out.write_all(&script))?;
        return Ok(state);
    }
    let shown = Shown {
        options,
        facts: &facts,
        incident: &demand.incident,
        plan: &plan,
    };
    if options.action == Action::Show {
        shown.plan_only()?;
        return Ok(state);
    }
    if options.output == Output::Text {
        shown.text()?;
    }
    if !plan.is_empty() && options.action == Action::Ask && !asked()? {
        if options.output == Output::Json {
            shown.json(None)?;
        }
        bail!("nothing was changed");
    }
    let applied = apply(&options.root, &plan)?;
    shown.outcome(&applied)?;
    lasts(&plan, &applied)?;
    Ok(state)
}

/// Unknown if the plan depends on what could not be seen. A limit that was asked for
/// does not depend on the load, but on the files, which a container does not have.
fn state(out_of_sight: &[Finding], to: Option<u64>) -> State {
    let counts = |finding: &&Finding| to.is_none() || finding.code == Code::InContainer;
    let counted: Vec<Finding> = out_of_sight.iter().filter(counts).cloned().collect();
    State::of(&counted)
}

/// Fails if the limit is lost by something, in spite of what was applied.
fn lasts(plan: &Plan, applied: &Applied) -> Result<()> {
    if !applied.shortfalls.is_empty() {
        let what = match (&applied.id, plan.notes.is_empty()) {
            (Some(_), _) => {
                "the fix was applied, but the limit will not last through every event listed"
            }
            (None, true) => "no file was changed: no setting on this host can keep the limit",
            (None, false) => {
                "no file was changed: no setting on this host can keep the limit (see \"To do \
                 elsewhere\")"
            }
        };
        let shortfalls: Vec<String> = applied.shortfalls.iter().map(ToString::to_string).collect();
        bail!("{what}: {}", shortfalls.join("; "));
    }
    Ok(())
}

/// What there is to show.
struct Shown<'a> {
    options: &'a Options,
    facts: &'a Facts,
    incident: &'a Incident,
    plan: &'a Plan,
}

impl Shown<'_> {
    fn plan_only(&self) -> Result<()> {
        match self.options.output {
            Output::Text => self.text(),
            Output::Json => self.json(None),
        }
    }

    fn text(&self) -> Result<()> {
        let lines = plan_text::lines(self.facts, self.incident, self.plan, &self.options.root);
        say(|out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))
    }

    fn json(&self, applied: Option<&Applied>) -> Result<()> {
        let report = FixReport::of(self.facts, self.incident, self.plan, applied);
        say(|out| json(out, &report))
    }

    fn outcome(&self, applied: &Applied) -> Result<()> {
        match self.options.output {
            Output::Text => say(|out| {
                let lines = text::applied(self.plan, applied, &self.options.root);
                lines.iter().try_for_each(|line| writeln!(out, "{line}"))
            }),
            Output::Json => self.json(Some(applied)),
        }
    }
}

/// What is seen of the load.
struct Seen {
    demand: Demand,
    /// The part of a running host that could not be seen.
    out_of_sight: Vec<Finding>,
    /// Why not who fills the table, if that cannot be seen.
    filling_unknown: Option<Finding>,
}

/// Looks at the load: twice at a running host, or at what a tree tells.
fn see(root: &Root, facts: &Facts, options: &Options) -> Seen {
    if !root.is_this_host() {
        // Without the table it is still known what the limit will be.
        let table = look::at_tree(root, None).ok().flatten();
        let census = table.and_then(|table| table.census);
        return Seen {
            demand: Demand::new(vec![Evidence::of_tree(facts)], Vec::new(), census.as_ref()),
            out_of_sight: Vec::new(),
            filling_unknown: None,
        };
    }
    let usage = usage::measure(options.interval);
    let packets = |namespace: &NamespaceUse| {
        let PacketRange { at_least, .. } = namespace.refused.filter(|it| it.at_least > 0)?;
        Some(RefusedFlows {
            netns: namespace.netns,
            many: HowMany::Packets {
                protocol: None,
                per_second: lossy(at_least) / usage.apart.as_secs_f64(),
            },
        })
    };
    let refused = usage.namespaces.iter().filter_map(packets).collect();
    let default = facts.kernel.default_table().map(|table| table.max);
    let namespaces = Evidence::of_all(&usage.namespaces, default);
    let (census, filling_unknown) = match look::at_the_worst(&namespaces) {
        Ok(census) => (census, None),
        Err(error) => (None, Some(plan::filling_unknown(format!("{error:#}")))),
    };
    let mut demand = Demand::new(namespaces, refused, census.as_ref());
    let in_container = Surroundings::read().container_note();
    let in_container = in_container.map(plan::in_a_container);
    if !usage.unread.is_empty() || in_container.is_some() {
        demand.incident = demand.incident.seen_in_part();
    }
    Seen {
        demand,
        out_of_sight: in_container
            .into_iter()
            .chain(unread::findings(&usage.unread))
            .collect(),
        filling_unknown,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate, of numbers far below 2⁵²"
)]
const fn lossy(number: u64) -> f64 {
    number as f64
}

/// Asks on the terminal.
fn asked() -> Result<bool> {
    let stdin = io::stdin();
    ensure!(
        stdin.is_terminal(),
        "nothing was changed: standard input is not a terminal, so ctdrop cannot ask; give --yes to \
         apply the plan, or --dry-run to only show it"
    );
    let mut err = io::stderr().lock();
    write!(err, "Apply this plan? [y/N] ").and_then(|()| err.flush())?;
    let mut answer = String::new();
    stdin
        .lock()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

pub(super) fn json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

pub(super) fn say(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = anstream::stdout().lock();
    write(&mut out)
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
