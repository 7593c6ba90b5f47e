//! What a command line asks for.

use crate::{cli::look::Look, commands};

/// A command line.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// What is asked for.
    pub command: Command,
    /// How what is printed looks.
    pub look: Look,
}

/// What is asked for: a command and its options.
#[derive(Clone, Debug)]
pub enum Command {
    /// Show on one screen whether packets are refused now.
    Overview,
    /// Observe refused packets.
    Watch(Box<commands::watch::options::Options>),
    /// Observe, and keep the evidence.
    Daemon(Box<commands::daemon::Options>),
    /// List what was recorded.
    Incidents(commands::incidents::Options),
    /// Report on an incident or a time.
    Report(commands::report::Options),
    /// Show which backends this host offers.
    Probe(commands::probe::Options),
    /// Show who fills the table.
    Who(commands::who::Options),
    /// Scan kernel logs.
    Logs(commands::logs::Options),
    /// Show limit, use and what survives.
    Status(commands::status::Options),
    /// Make the right limit stick.
    Fix(commands::fix::Options),
    /// Take a fix back.
    Undo(commands::undo::Options),
    /// Print a script that completes the command line.
    Completions(commands::completions::Options),
    /// Write the manual pages.
    Man(commands::man::Options),
}
