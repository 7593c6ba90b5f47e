//! The command line.

mod choices;
mod contradictions;
mod fix;
mod logs;
mod probe;
mod status;
mod undo;
mod values;
mod watch;
mod who;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::say::finding;

pub use crate::say::output::Output;

pub use self::{
    fix::Fix, logs::Logs, probe::Probe, status::Status, undo::Undo, watch::Watch, who::Who,
};

/// Which flows conntrack refuses, how many packets exactly, and why.
#[derive(Debug, Parser)]
#[command(name = "ctdrop", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Observe refused packets now, flow by flow
    ///
    /// Counts, in the kernel, every packet that connection tracking refuses,
    /// and holds the counts against the kernel's own. Draws a live screen on a
    /// terminal and prints lines otherwise. Ends with the totals on Ctrl-C,
    /// SIGTERM, or after --duration.
    Watch(Watch),

    /// Show which ways to observe this host offers, and what the others lack
    ///
    /// Each way is tried: its programs are loaded and attached, counting
    /// nothing, and taken away again. Fails if none works.
    Probe(Probe),

    /// Show who fills the conntrack table, in every network namespace
    ///
    /// Dumps the table once, through ctnetlink, and adds it up: by source,
    /// destination, service, state and so on; what may be evicted; what would
    /// free most. Never changes anything.
    Who(Who),
    /// Scan kernel logs for refused packets, with what the kernel held back
    ///
    /// Reads the given files, compressed or not, or what this host has: the
    /// journal, the syslog daemon's file with its rotations, else the kernel's
    /// own memory. The kernel writes few of the lines that it has to say; the
    /// ones it held back are attributed to the bursts they belong to.
    Logs(Logs),

    /// Show limit, use, what survives a boot, and what to do
    ///
    /// Reads the kernel's numbers twice, and all files that decide the limit; no
    /// eBPF, nothing is changed. Exit codes as of a monitoring plugin: 0 ok, 1
    /// warning, 2 critical, 3 unknown (also after wrong usage).
    Status(Status),

    /// Make the right limit stick: plan it, show the plan, and carry it out
    ///
    /// Works out limit and buckets from the load, bounded by memory, and what must
    /// change for them to be in force now, after a boot, after a restart of the
    /// firewall and after a reload of the module. Shows all of it as a diff, and
    /// asks before anything is changed.
    Fix(Fix),

    /// Take a fix back, file by file
    ///
    /// Files that somebody has changed since are left, and told.
    Undo(Undo),
}

/// The exit code of a command line that clap refuses, or of help: clap's own
/// but for `status`, of which 2 would mean that packets are being refused.
pub fn refused_code(error: &clap::Error, arguments: impl Iterator<Item = OsString>) -> u8 {
    let asked = arguments.skip(1).find(|argument| {
        argument
            .to_str()
            .is_none_or(|argument| !argument.starts_with('-'))
    });
    match error.exit_code() {
        0 => 0,
        _ if asked.is_some_and(|command| command == "status") => finding::UNKNOWN,
        code => u8::try_from(code).unwrap_or(2),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_usage_of_status_is_unknown_not_critical() {
        let code = |line: &[&str]| {
            let error = Cli::try_parse_from(line).unwrap_err();
            refused_code(&error, line.iter().map(OsString::from))
        };
        assert_eq!(code(&["ctdrop", "status", "--warning", "0"]), 3);
        assert_eq!(code(&["ctdrop", "status", "--nonsense"]), 3);
        assert_eq!(code(&["ctdrop", "status", "--help"]), 0);
        assert_eq!(code(&["ctdrop", "watch", "--nonsense"]), 2);
        assert_eq!(code(&["ctdrop", "statusx"]), 2);
        assert_eq!(code(&["ctdrop"]), 2);
    }

    #[test]
    fn what_is_wrong_with_a_value_is_said_in_words() {
        let error = |line: &[&str]| Cli::try_parse_from(line).unwrap_err().to_string();
        assert!(error(&["ctdrop", "watch", "--interval", "abc"]).contains("not a time"));
        assert!(error(&["ctdrop", "logs", "--threads", "0"]).contains("1 or more"));
        for option in ["--src", "--dst"] {
            let of = |value| error(&["ctdrop", "who", option, value]);
            assert!(of("10.0.0.0/8").contains("prefixes are not taken"));
            assert!(of("host").contains("not an address"));
        }
    }
}
