//! `ctdrop status`: the limit, how it is used, what survives, who else writes it,
//! and what to do about all this. It changes nothing, and leaves nothing behind.
//!
//! [`report`] puts numbers, facts and [`finding`]s together; what they say is
//! decided by pure functions over [`crate::facts`], [`crate::survival`] and two
//! looks at the running kernel.

mod configuration;
mod events;
mod persistence;
pub mod pressure;
pub mod report;
mod text;
mod unknown;
mod unreadable;

use anyhow::Result;

pub use crate::say::finding::State;
use crate::{
    cli::{Output, Status},
    commands::status::{pressure::Bounds, report::Report},
    facts::{Facts, root::Root},
    say::stdout,
};

/// Looks at this host, or at a tree, and says what there is to say.
pub fn run(options: &Status) -> Result<State> {
    let bounds = Bounds {
        warning: options.warning,
        critical: options.critical,
    };
    let root = Root::open(&options.root)?;
    let facts = Facts::read(&root)?;
    let report = if root.is_this_host() {
        Report::of_host(facts, report::look(options.interval)?, bounds)
    } else {
        Report::of_tree(facts, options.root.clone(), bounds)
    };
    match options.output {
        Output::Json => stdout::json(&report)?,
        Output::Text => stdout::lines(text::lines(&report))?,
    }
    Ok(report.state)
}
