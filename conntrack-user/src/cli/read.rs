//! Reads the command line.

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser, error::ErrorKind};

use crate::{
    cli::{
        command::{Command, CommandLine},
        completions::Completions,
        daemon::Daemon,
        fix::Fix,
        incidents::Incidents,
        logs::Logs,
        look::Look,
        man::Man,
        probe::Probe,
        report::Report,
        status::Status,
        undo::Undo,
        watch::Watch,
        who::Who,
    },
    commands::status::nagios,
    logs::read::request::EmptyPeriod,
    say::finding,
};

/// Shows which flows conntrack refuses, exactly how many packets, and why
///
/// Without a command, shows on one screen whether packets are refused on this host now, and
/// which command to run next. The exit codes are then those of ctdrop status: 0 ok, 1
/// warning, 2 critical, 3 unknown (also after wrong usage).
#[derive(Debug, Parser)]
#[command(name = "ctdrop", version)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) look: Look,

    /// What to do.
    #[command(subcommand)]
    pub(super) command: Option<Subcommand>,
}

/// The commands, each with its arguments.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Subcommand {
    /// Observe refused packets now, flow by flow
    ///
    /// Counts in the kernel every packet that connection tracking refuses, and
    /// checks the counts against the kernel's own counters. On a terminal it draws
    /// a live screen, otherwise it prints lines. It ends on Ctrl-C, on SIGTERM or
    /// after --duration, and then prints the totals.
    Watch(Watch),

    /// Observe from now on, and keep the evidence of incidents
    ///
    /// Runs in the foreground until SIGTERM or Ctrl-C. Attaches the programs that run for
    /// each new flow only under pressure. Writes what it counts to a database
    /// (docs/evidence.md). Prints incidents, changes of the limit, forecasts, and whether it
    /// can write evidence.
    Daemon(Daemon),

    /// List the incidents that ctdrop daemon has recorded
    Incidents(Incidents),

    /// Report on an incident or a period, as an HTML page, as Markdown or as JSON
    ///
    /// Says what happened, how many packets were refused, whose packets they were, who filled the table,
    /// and why; which limit survives a boot; what was fixed; and how exact the numbers are.
    /// The page is one file without scripts, and requests nothing. It contains addresses and
    /// names: mask them with --redact before you pass it on.
    Report(Report),

    /// Show which backends work on this host, and what the others lack
    ///
    /// A backend is a way to observe refused packets. Each one is tried: its
    /// programs are loaded and attached, count nothing, and are removed again.
    /// The exit code is 1 if no backend works.
    Probe(Probe),

    /// Show who fills the conntrack table, in every network namespace
    ///
    /// Reads the table once, through ctnetlink, and adds it up by source,
    /// destination, service, state and so on. Shows how many entries the kernel
    /// may evict, and what would free the most entries. It changes nothing. The exit
    /// code is 3 if all tables that ctdrop can see are empty and it cannot see all.
    Who(Who),

    /// Search kernel logs for refused packets
    ///
    /// Reads the given files, compressed or not. Without files it reads the logs of
    /// this host: the journal, the syslog daemon's file with its rotations, or else
    /// the log in the kernel's memory. The kernel suppresses most of its messages
    /// in a burst and reports their number later; ctdrop adds this number to the
    /// burst that it belongs to.
    Logs(Logs),

    /// Show the limit, how full the table is, whether the limit survives a boot, and
    /// what to do
    ///
    /// Reads the kernel's numbers twice, and all files that set the limit. It uses
    /// no eBPF and changes nothing. The exit codes are those of a monitoring plugin:
    /// 0 ok, 1 warning, 2 critical, 3 unknown (also after wrong usage).
    Status(Status),

    /// Set the right limit, and make it last
    ///
    /// Works out the limit and the number of buckets from the load and the memory.
    /// Plans what must change so that they are in force now, after a boot, after a
    /// restart of the firewall and after a reload of the module. Shows the plan as
    /// a diff, and asks before it changes anything. The exit code is 3 if not all
    /// network namespaces can be seen, so that the load is unknown.
    Fix(Fix),

    /// Undo a fix, file by file
    ///
    /// Files that somebody has changed since the fix stay as they are, and are
    /// named.
    Undo(Undo),

    /// Print a script that makes a shell complete the command line
    Completions(Completions),

    /// Write the manual pages to a directory
    Man(Man),
}

impl CommandLine {
    /// Reads a command line.
    ///
    /// # Errors
    ///
    /// What clap refuses, or options that contradict each other; also what asks
    /// for help or the version.
    pub fn read(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let Arguments { look, command } = Arguments::try_parse_from(arguments)?;
        let command = match command {
            Some(command) => command.try_into()?,
            None => Command::Overview,
        };
        Ok(Self { command, look })
    }
}

impl Command {
    /// Reads a command line, without the options for colours and times.
    ///
    /// # Errors
    ///
    /// As [`CommandLine::read`].
    pub fn read(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        CommandLine::read(arguments).map(|line| line.command)
    }
}

impl TryFrom<Subcommand> for Command {
    type Error = clap::Error;

    /// Fails if options contradict each other.
    fn try_from(command: Subcommand) -> Result<Self, clap::Error> {
        let contradiction =
            |command| move |what: String| refusal(command, ErrorKind::ArgumentConflict, &what);
        Ok(match command {
            Subcommand::Watch(watch) => {
                let options = watch.try_into().map_err(contradiction("watch"))?;
                Self::Watch(Box::new(options))
            }
            Subcommand::Daemon(daemon) => Self::Daemon(Box::new(daemon.into())),
            Subcommand::Incidents(incidents) => Self::Incidents(incidents.into()),
            Subcommand::Report(report) => {
                Self::Report(report.try_into().map_err(contradiction("report"))?)
            }
            Subcommand::Probe(probe) => Self::Probe(probe.into()),
            Subcommand::Who(who) => Self::Who(who.try_into().map_err(contradiction("who"))?),
            Subcommand::Logs(logs) => Self::Logs(logs.into()),
            Subcommand::Status(status) => {
                Self::Status(status.try_into().map_err(contradiction("status"))?)
            }
            Subcommand::Fix(fix) => Self::Fix(fix.into()),
            Subcommand::Undo(undo) => Self::Undo(undo.into()),
            Subcommand::Completions(completions) => {
                Self::Completions(completions.script(Arguments::command()))
            }
            Subcommand::Man(man) => Self::Man(man.pages(Arguments::command())),
        })
    }
}

/// As clap itself refuses a command line, with the usage of that command.
fn refusal(command: &str, kind: ErrorKind, what: &str) -> clap::Error {
    let mut whole = Arguments::command();
    whole.build();
    match whole.find_subcommand_mut(command) {
        Some(command) => command.error(kind, what),
        None => whole.error(kind, what),
    }
}

/// The refusal of a command line, if a command failed for it. Whether a period is
/// empty is known only in the time zone of the logs.
pub fn wrong_usage(error: &anyhow::Error) -> Option<clap::Error> {
    let period = error.downcast_ref::<EmptyPeriod>()?;
    Some(refusal(
        "logs",
        ErrorKind::ValueValidation,
        &period.to_string(),
    ))
}

/// The exit code of a command line that clap refuses, or of help: that of clap. A refused
/// command line of `status` or of `ctdrop` without a command ends with 3, because their exit
/// code 2 means that packets are being refused.
pub fn refused_code(error: &clap::Error, arguments: impl Iterator<Item = OsString>) -> u8 {
    let mut arguments = arguments.skip(1).peekable();
    let is_option = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let begins_with_option = arguments.peek().is_none_or(is_option);
    let names = Arguments::command();
    // The value of --color can be a word of its own. It is not the command.
    let mut of_color = false;
    let asked = arguments.find(|argument| {
        let is_value = of_color;
        of_color = argument == "--color";
        !is_value && names.find_subcommand(argument).is_some()
    });
    let is_plugin = match &asked {
        Some(command) => command == "status",
        // What follows an unknown option can be its value.
        None => begins_with_option,
    };
    match error.exit_code() {
        0 => 0,
        _ if is_plugin => finding::UNKNOWN,
        code => u8::try_from(code).unwrap_or(2),
    }
}

/// What a monitoring plugin prints if clap refuses its command line: monitoring systems read
/// only standard output of a plugin. None for another command line, and for help.
pub fn refused_plugin(
    error: &clap::Error,
    arguments: impl Iterator<Item = OsString>,
) -> Option<String> {
    let arguments: Vec<OsString> = arguments.skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    if error.exit_code() == 0 || !has("status") || !has("--nagios") {
        return None;
    }
    let text = error.to_string();
    let what = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = what
        .trim_start_matches("error:")
        .split_whitespace()
        .collect();
    Some(nagios::failure(&words.join(" ")))
}

#[cfg(test)]
pub(super) mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The exit code of a refusal and its text; none if it is not refused.
    fn refused(line: &str) -> Option<(u8, String)> {
        let arguments: Vec<&str> = line.split(' ').collect();
        let error = Command::read(&arguments).err()?;
        let code = refused_code(&error, arguments.iter().map(OsString::from));
        Some((code, error.to_string()))
    }

    #[track_caller]
    pub(crate) fn assert_refused(line: &str, code: u8, says: &str) {
        let (found, text) = refused(line).unwrap();
        assert_eq!(found, code, "{line}: {text}");
        assert!(text.contains(says), "{line}: {text}");
    }

    #[track_caller]
    pub(crate) fn assert_accepted(line: &str) {
        assert_eq!(refused(line), None, "{line}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_usage_of_status_is_unknown_not_critical() {
        let code = |line: &[&str]| {
            let error = Arguments::try_parse_from(line).unwrap_err();
            refused_code(&error, line.iter().map(OsString::from))
        };
        assert_eq!(code(&["ctdrop", "status", "--warning", "0"]), 3);
        assert_eq!(code(&["ctdrop", "status", "--nonsense"]), 3);
        assert_eq!(code(&["ctdrop", "status", "--help"]), 0);
        assert_eq!(code(&["ctdrop", "watch", "--nonsense"]), 2);
        assert_eq!(code(&["ctdrop", "--color", "never", "status", "x"]), 3);
        assert_eq!(code(&["ctdrop", "--color=never", "status", "x"]), 3);
        assert_eq!(code(&["ctdrop", "--color", "status", "watch", "x"]), 2);
        assert_eq!(code(&["ctdrop", "statusx"]), 2);
        assert_eq!(code(&["ctdrop", "--nonsense"]), 3);
        assert_eq!(code(&["ctdrop", "--netns", "x"]), 3);
        assert_eq!(code(&["ctdrop", "-o", "json"]), 3);
        assert_eq!(code(&["ctdrop", "--utc", "who", "--nonsense"]), 2);
        assert_eq!(code(&["ctdrop", "--color", "purple"]), 3);
        assert_eq!(code(&["ctdrop", "--help"]), 0);
    }

    #[test]
    fn without_a_command_there_is_an_overview() {
        for line in ["ctdrop", "ctdrop --utc", "ctdrop --color never"] {
            let command = Command::read(line.split(' ')).unwrap();
            assert!(matches!(command, Command::Overview), "{line}");
        }
    }

    #[test]
    fn a_plugin_with_wrong_usage_says_one_line_that_is_unknown() {
        let line = |line: &str| {
            let arguments: Vec<OsString> = line.split(' ').map(Into::into).collect();
            let error = Command::read(&arguments).err()?;
            refused_plugin(&error, arguments.into_iter())
        };
        for (wrong, says) in [
            ("ctdrop status --nagios --nonsense", "'--nonsense'"),
            ("ctdrop status --nagios -o json", "cannot be used with"),
            (
                "ctdrop status --nagios --warning 95 --critical 90",
                "--warning 95 is above --critical 90",
            ),
            ("ctdrop status --critical x --nagios", "'x'"),
        ] {
            let line = line(wrong).unwrap();
            assert!(line.starts_with("CTDROP UNKNOWN - "), "{line}");
            assert!(line.contains(says) && !line.contains('\n'), "{line}");
            assert!(
                !line.contains('\u{fffd}') && !line.contains("error:"),
                "{line}"
            );
        }
        for other in [
            "ctdrop status --nonsense",
            "ctdrop status --nagios --help",
            "ctdrop status --nagios",
            "ctdrop who --nagios",
        ] {
            assert_eq!(line(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_value_is_said_in_words() {
        let error = |line: &[&str]| Arguments::try_parse_from(line).unwrap_err().to_string();
        assert!(error(&["ctdrop", "watch", "--interval", "abc"]).contains("not a time"));
        assert!(error(&["ctdrop", "logs", "--threads", "0"]).contains("1 or more"));
    }
}
