//! The arguments of `ctdrop logs`.

use std::{num::NonZeroUsize, path::PathBuf};

use crate::{
    cli::values::{threads, year},
    commands::logs::Options,
    logs::{read::request::Request, time::When},
    say::output::Output,
};

/// Options of `ctdrop logs`.
#[derive(Clone, Debug, clap::Args)]
pub struct Logs {
    /// Logs to read: syslog files, or the output of dmesg or journalctl; plain, or
    /// compressed as gz, bz2, xz or zst; - is standard input. The rotated files of
    /// a log are read as one log
    #[arg(value_name = "FILE", conflicts_with = "root")]
    pub files: Vec<PathBuf>,

    /// Form of the output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Use this mounted or copied tree instead of this host; read its logs
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,

    /// Only from this time on: 2026-03-12, "2026-03-12 13:40",
    /// 13:40 for today, RFC 3339, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub since: Option<When>,

    /// Only up to this time
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,

    /// Count only lines of this host, by its name in the log; can be repeated
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,

    /// The year in which each log begins, if its times have no year; by default
    /// taken from the time that the file was last written
    #[arg(long, value_name = "YEAR", value_parser = year())]
    pub year: Option<i16>,

    /// Number of threads that search; by default one for each processor
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,

    /// The directory with the evidence database; ctdrop logs also shows the exact counts in
    /// it. By default /var/lib/ctdrop, if it is there
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

impl From<Logs> for Options {
    fn from(arguments: Logs) -> Self {
        Self {
            output: arguments.output,
            files: arguments.files,
            root: arguments.root,
            request: Request {
                since: arguments.since,
                until: arguments.until,
                hosts: arguments.host,
                year: arguments.year,
                threads: arguments.threads,
            },
            state: arguments.state_dir,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{Command, wrong_usage};

    #[test]
    fn a_period_that_ends_before_it_begins_is_wrong_usage() {
        let line = "ctdrop logs --since 2h --until 3h";
        let Command::Logs(options) = Command::read(line.split(' ')).unwrap() else {
            panic!("another command")
        };
        let error = wrong_usage(&crate::commands::logs::run(&options).unwrap_err()).unwrap();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("must be earlier than --until"), "{text}");
        assert!(text.contains("Usage: ctdrop logs"), "{text}");
        assert!(wrong_usage(&anyhow::anyhow!("something else")).is_none());
    }
}
