//! The command line: what clap reads, and what each command makes of it.
//!
//! Nothing below knows clap. Each file has the arguments of a command and turns
//! them into the options that the command takes; `values` reads the values, and
//! `choices` names those that can be chosen.

mod addresses;
mod choices;
mod command;
mod completions;
mod daemon;
mod fix;
mod incidents;
mod logs;
mod look;
mod man;
#[cfg(test)]
mod options;
mod probe;
mod read;
mod report;
mod status;
mod undo;
mod values;
mod watch;
mod who;

pub use self::{
    command::{Command, CommandLine},
    read::{refused_code, refused_plugin, wrong_usage},
};
