//! The command line: what clap reads, and what each command makes of it.
//!
//! Nothing below knows clap. Each file has the arguments of a command and turns
//! them into the options that the command takes; [`values`] reads the values.

mod choices;
mod fix;
mod logs;
mod probe;
mod read;
mod status;
mod undo;
mod values;
mod watch;
mod who;

pub use self::read::{refused_code, usage};
use crate::{commands, logs as log_files};

/// What is asked for: a command and its options.
#[derive(Clone, Debug)]
pub enum Command {
    /// Observe refused packets.
    Watch(commands::watch::options::Options),
    /// Show which backends this host offers.
    Probe(commands::probe::Options),
    /// Show who fills the table.
    Who(commands::who::Options),
    /// Scan kernel logs.
    Logs(log_files::Options),
    /// Show limit, use and what survives.
    Status(commands::status::Options),
    /// Make the right limit stick.
    Fix(commands::fix::Options),
    /// Take a fix back.
    Undo(commands::undo::Options),
}
