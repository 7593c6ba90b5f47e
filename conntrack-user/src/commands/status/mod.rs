//! `ctdrop status`: the limit, how it is used, what survives, who else writes it,
//! and what to do about all this. It changes nothing, and leaves nothing behind.
//!
//! [`report`] puts numbers, facts and [`crate::say::finding`]s together; what they say is
//! decided by pure functions over [`crate::facts`], [`crate::survival`] and two
//! looks at the running kernel.

pub mod capacity;
mod configuration;
mod events;
pub mod forecast;
mod nagios;
mod persistence;
pub mod report;
mod text;
mod textfile;
mod unknown;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

pub use crate::say::finding::State;
use crate::{
    commands::{
        daemon,
        status::{capacity::Bounds, report::StatusReport},
    },
    facts::{Facts, root::Root},
    incident::look::{self, SavedTable},
    say::{output::Output, stdout},
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Form of the output.
    pub output: Output,
    /// The tree to judge; `/` is the running host.
    pub root: PathBuf,
    /// The saved table of that tree, if it is not where it was copied from.
    pub table: Option<PathBuf>,
    /// Time between the two looks at the kernel's numbers.
    pub interval: Duration,
    /// How full a table has to be.
    pub bounds: Bounds,
    /// Where `ctdrop daemon` keeps evidence, for the trend of each table.
    pub state: PathBuf,
    /// A file for `node_exporter`, which is written and nothing printed.
    pub textfile: Option<PathBuf>,
    /// Whether to print the output of a Nagios plugin.
    pub nagios: bool,
}

/// The saved table of a tree. One that was named has to be there; a copied one that
/// cannot be read is told as what is missing.
fn table(root: &Root, named: Option<&Path>) -> Result<SavedTable> {
    match look::at_tree(root, named) {
        Ok(table) => Ok(table.unwrap_or_default()),
        Err(error) if named.is_none() => Ok(SavedTable {
            census: None,
            caveats: vec![format!("{error:#}")],
        }),
        Err(error) => Err(error),
    }
}

/// Looks at this host, or at a tree, and says what there is to say.
pub fn run(options: &Options) -> Result<State> {
    let report = match judge(options) {
        Ok(report) => report,
        // Nagios reads standard output only.
        Err(error) if options.nagios => {
            stdout::lines([nagios::failure(&error)])?;
            return Ok(State::Unknown);
        }
        Err(error) => return Err(error),
    };
    if let Some(file) = &options.textfile {
        textfile::write(&report, file)?;
    } else if options.nagios {
        stdout::lines(nagios::lines(&report, options.bounds))?;
    } else {
        match options.output {
            Output::Json => stdout::json(&report)?,
            Output::Text => stdout::lines(text::lines(&report))?,
        }
    }
    Ok(report.state)
}

fn judge(options: &Options) -> Result<StatusReport> {
    let root = Root::open(&options.root)?;
    let facts = Facts::read(&root)?;
    if root.is_this_host() {
        let evidence = daemon::file(&options.state);
        let running = report::read_host(&facts, options.interval, &evidence)?;
        Ok(StatusReport::of_host(facts, running, options.bounds))
    } else {
        let table = table(&root, options.table.as_deref())?;
        let root = options.root.clone();
        Ok(StatusReport::of_tree(facts, root, &table, options.bounds))
    }
}
