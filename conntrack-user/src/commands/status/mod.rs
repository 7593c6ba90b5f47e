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
pub(crate) mod nagios;
mod options;
mod persistence;
pub mod report;
pub(crate) mod text;
mod textfile;
mod unknown;
pub mod watch;

use std::path::Path;

use anyhow::Result;

pub use self::options::Options;
pub use crate::say::finding::State;
use crate::{
    commands::status::report::StatusReport,
    facts::{Facts, root::Root},
    incident::look::{self, SavedTable},
    say::{output::Output, stdout},
};

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

/// Looks at this host, or at a tree.
pub(crate) fn judge(options: &Options) -> Result<StatusReport> {
    let root = Root::open(&options.root)?;
    let facts = Facts::read(&root)?;
    if root.is_this_host() {
        let running = report::read_host(&facts, options)?;
        Ok(StatusReport::of_host(facts, running, options.bounds))
    } else {
        let table = table(&root, options.table.as_deref())?;
        let root = options.root.clone();
        Ok(StatusReport::of_tree(facts, root, &table, options.bounds))
    }
}
