//! The commands `ctdrop fix` and `ctdrop undo`.

mod text;

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write},
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use crate::{
    apply::{
        Applied, apply, record,
        report::{FixReport, KeptFix, UndoReport},
        undo::{self, undo},
    },
    cli::{Fix, Output, Undo},
    facts::{Facts, root::Root},
    kernel::netns::Namespaces,
    observe::{evidence::Range, usage},
    plan::{
        self, Plan,
        diagnosis::{Diagnosis, Load, NamespaceLoad, Occupants, RefusedFlows, diagnose},
        occupants, plan, script,
        sizing::{Request, size},
        text as plan_text,
    },
    say::finding::Finding,
};

/// Plans a fix, shows it and, if it is wanted, carries it out.
pub fn fix(options: &Fix) -> Result<()> {
    let root = Root::open(&options.root)?;
    let facts = Facts::read(&root)?;
    let (load, unknown) = load(&root, &facts, options);
    let diagnosis = diagnose(&load, &facts.numbers.timeouts);
    let request = Request {
        to: options.to,
        ceiling: None,
    };
    let size = size(&facts, &load, &diagnosis, request)?;
    let how = plan::Options {
        edit_conflicts: options.edit_conflicts,
    };
    let mut plan = plan(&root, &facts, size, how)?;
    plan.warnings.extend(unknown);
    if options.emit_script {
        let script = script::of(&facts, &plan)?;
        return say(|out| out.write_all(&script));
    }
    let shown = Shown {
        options,
        facts: &facts,
        diagnosis: &diagnosis,
        plan: &plan,
    };
    if options.dry_run {
        return shown.plan_only();
    }
    if options.output == Output::Text {
        shown.text()?;
    }
    if !plan.is_empty() && !options.yes && !asked()? {
        if options.output == Output::Json {
            shown.json(None)?;
        }
        bail!("nothing was changed");
    }
    let applied = apply(&options.root, &plan)?;
    shown.outcome(&applied)?;
    if !applied.shortfalls.is_empty() {
        let what = if applied.id.is_some() {
            "the fix was made, but the limit will not hold everywhere"
        } else {
            "no change to the files of this host keeps the limit, so none was made"
        };
        let shortfalls: Vec<String> = applied.shortfalls.iter().map(ToString::to_string).collect();
        bail!("{what}: {}", shortfalls.join("; "));
    }
    Ok(())
}

/// What there is to show.
struct Shown<'a> {
    options: &'a Fix,
    facts: &'a Facts,
    diagnosis: &'a Diagnosis,
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
        let lines = plan_text::lines(self.facts, self.diagnosis, self.plan, &self.options.root);
        say(|out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))
    }

    fn json(&self, applied: Option<&Applied>) -> Result<()> {
        let report = FixReport::of(self.facts, self.diagnosis, self.plan, applied);
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

/// What is seen of the load: two looks at a running host, or what a tree tells;
/// and why not who fills the table, if that cannot be seen.
fn load(root: &Root, facts: &Facts, options: &Fix) -> (Load, Option<Finding>) {
    let mut load = Load::of(facts);
    if !root.is_this_host() {
        load.occupants = tree_occupants(root, facts);
        return (load, None);
    }
    let seen = usage::measure(options.interval);
    let own = rustix::fs::stat("/proc/self/ns/net").map_or(0, |status| status.st_ino);
    load.namespaces = seen
        .namespaces
        .iter()
        .map(|namespace| NamespaceLoad {
            name: namespace.name.clone(),
            is_host: namespace.netns.map(u64::from) == Some(own),
            entries: namespace.entries,
            max: namespace.max,
            growth: namespace.growth,
        })
        .collect();
    let refused: u64 = seen
        .namespaces
        .iter()
        .filter_map(|namespace| namespace.refused.as_ref())
        .map(|Range { at_least, .. }| at_least)
        .sum();
    if refused > 0 {
        load.refused.push(RefusedFlows {
            protocol: None,
            // Packets: a flow that tries again counts more than once.
            per_second: lossy(refused) / seen.apart.as_secs_f64(),
        });
    }
    let pressed = refused > 0 || load.namespaces.iter().any(NamespaceLoad::is_full);
    // The fullest one comes first.
    let fullest = seen
        .namespaces
        .first()
        .and_then(|namespace| namespace.netns);
    let Some(fullest) = fullest.filter(|_| pressed) else {
        return (load, None);
    };
    match host_occupants(fullest, facts) {
        Ok(occupants) => {
            load.occupants = Some(occupants);
            (load, None)
        }
        Err(error) => (load, Some(plan::filling_unknown(format!("{error:#}")))),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate, of numbers far below 2⁵²"
)]
const fn lossy(number: u64) -> f64 {
    number as f64
}

const TABLES: [&str; 2] = ["/proc/net/nf_conntrack", "/proc/net/ip_conntrack"];

/// Who is in the table of a network namespace.
fn host_occupants(netns: u32, facts: &Facts) -> Result<Occupants> {
    let namespaces = Namespaces::discover()?;
    let namespace = namespaces
        .by_inode(netns)
        .context("the network namespace is gone")?;
    occupants::dump(namespace, &facts.numbers.timeouts)
}

fn tree_occupants(root: &Root, facts: &Facts) -> Option<Occupants> {
    let found = TABLES
        .iter()
        .find_map(|path| root.read(path).ok().flatten())?;
    let occupants = occupants::read(found.content.as_slice(), &facts.numbers.timeouts).ok()?;
    (occupants.entries > 0).then_some(occupants)
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

/// Takes a fix back, or shows which there are.
pub fn take_back(options: &Undo) -> Result<()> {
    // Opens the tree, so that a wrong path is told as one.
    Root::open(&options.root)?;
    if options.list {
        return list(options);
    }
    let undone = undo(&options.root, options.id.as_deref())?;
    say(|out| match options.output {
        Output::Text => {
            let lines = text::undone(&undone, &options.root);
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))
        }
        Output::Json => json(out, &UndoReport::of(&undone)),
    })?;
    ensure!(
        undone.is_whole(),
        "{} was undone only in part: {}",
        undone.id,
        undone.left.join("; ")
    );
    Ok(())
}

fn list(options: &Undo) -> Result<()> {
    let records = undo::list(&options.root)?;
    say(|out| {
        for record in &records {
            match options.output {
                Output::Text => writeln!(out, "{}", text::record(record))?,
                Output::Json => json(out, &KeptFix::of(record))?,
            }
        }
        if records.is_empty() && options.output == Output::Text {
            writeln!(
                out,
                "no fix is recorded in {}",
                shown(&options.root).display()
            )?;
        }
        Ok(())
    })
}

fn shown(root: &Path) -> std::path::PathBuf {
    record::Records::of(root).directory().to_owned()
}

fn json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

fn say(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = anstream::stdout().lock();
    write(&mut out)
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
