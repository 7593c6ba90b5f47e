//! The arguments of `ctdrop status`.

use std::{path::PathBuf, time::Duration};

use crate::{
    cli::values::{interval, pause, percent},
    commands::{
        daemon::STATE,
        status::{Options, capacity::Bounds},
    },
    say::output::Output,
};

/// Options of `ctdrop status`.
#[derive(Clone, Debug, clap::Args)]
pub struct Status {
    /// Form of the output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Use this mounted or copied tree instead of this host; judge its etc and usr, and the
    /// copied part of its proc for the kernel's numbers
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// The saved conntrack table of that tree: output of conntrack -L, or a copy of
    /// the file in /proc/net that lists the table; by default the copy in its proc
    #[arg(long, value_name = "FILE", requires = "root")]
    pub table: Option<PathBuf>,

    /// Only this network namespace: its name, inode number, pid:PID or path
    #[arg(long, value_name = "NETNS", conflicts_with = "root")]
    pub netns: Option<String>,

    /// Print a new report every TIME: from 1s to 1h, by default 2s. On a terminal, each report
    /// replaces the one before. Ctrl-C ends it with the exit code of the last report
    #[arg(long, value_name = "TIME", value_parser = pause, num_args = 0..=1,
        default_missing_value = "2s", conflicts_with_all = ["root", "textfile", "nagios"])]
    pub watch: Option<Duration>,

    /// Time between two readings of the kernel's counters; in this time, ctdrop reads the
    /// numbers of entries up to twelve times
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,

    /// Warn if a table is this full, in per cent of the limit; not above --critical
    #[arg(long, value_name = "PERCENT", default_value_t = Bounds::USUAL.warning, value_parser = percent())]
    pub warning: u8,

    /// A table this full is critical, in per cent of the limit
    #[arg(long, value_name = "PERCENT", default_value_t = Bounds::USUAL.critical, value_parser = percent())]
    pub critical: u8,

    /// The directory with the evidence database; the forecast of a full table also uses what
    /// ctdrop daemon has recorded there lately
    #[arg(long, value_name = "DIR", default_value = STATE)]
    pub state_dir: PathBuf,

    /// Print nothing, and write the numbers to this file for the textfile collector of
    /// `node_exporter`; its name ends with .prom
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    pub textfile: Option<PathBuf>,

    /// Print the output of a Nagios or Icinga plugin: one line with performance data, then the
    /// findings
    #[arg(long, conflicts_with_all = ["output", "textfile"])]
    pub nagios: bool,
}

impl TryFrom<Status> for Options {
    type Error = String;

    fn try_from(arguments: Status) -> Result<Self, String> {
        let Status {
            warning, critical, ..
        } = arguments;
        if warning > critical {
            return Err(format!(
                "--warning {warning} is above --critical {critical}: there would be no warning \
                 before the table is critical; lower --warning or raise --critical"
            ));
        }
        Ok(Self {
            output: arguments.output,
            root: arguments.root,
            table: arguments.table,
            netns: arguments.netns,
            interval: arguments.interval,
            patience: None,
            watch: arguments.watch,
            bounds: Bounds { warning, critical },
            state: arguments.state_dir,
            textfile: arguments.textfile,
            nagios: arguments.nagios,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{
        Command,
        read::tests::{assert_accepted, assert_refused},
    };

    #[test]
    fn a_saved_table_is_of_a_tree() {
        assert_accepted("ctdrop status --root box --table table.txt");
        assert_refused("ctdrop status --table table.txt", 3, "--root");
    }

    #[test]
    fn there_is_one_form_of_output() {
        assert_accepted("ctdrop status --nagios");
        assert_refused("ctdrop status --nagios -o json", 3, "--nagios");
        assert_refused("ctdrop status --nagios --textfile x.prom", 3, "--nagios");
    }

    #[test]
    fn looks_again_and_again_are_at_this_host() {
        let watch = |line: &str| match Command::read(line.split(' ')).unwrap() {
            Command::Status(options) => options.watch.map(|every| every.as_secs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(watch("ctdrop status"), None);
        assert_eq!(watch("ctdrop status --watch"), Some(2));
        assert_eq!(watch("ctdrop status --watch -o json"), Some(2));
        assert_eq!(watch("ctdrop status --watch 10"), Some(10));
        assert_eq!(watch("ctdrop status --watch=1m"), Some(60));
        for bad in ["0", "500ms", "2h", "-1", "soon"] {
            let line = format!("ctdrop status --watch={bad}");
            assert_refused(&line, 3, "give a time from 1s to 1h");
        }
        for other in ["--root box", "--nagios", "--textfile x.prom"] {
            let line = format!("ctdrop status --watch {other}");
            assert_refused(&line, 3, "cannot be used with");
        }
        assert_refused("ctdrop status --netns blue --root box", 3, "--netns");
        assert_accepted("ctdrop status --netns blue --watch");
    }

    #[test]
    fn a_warning_comes_before_what_is_critical() {
        assert_refused(
            "ctdrop status --warning 95 --critical 90",
            3,
            "--warning 95 is above --critical 90",
        );
        assert_refused("ctdrop status --warning 95", 3, "--critical 90");
        assert_refused("ctdrop status --critical 50", 3, "--warning 75");
        assert_accepted("ctdrop status --warning 90");
        assert_accepted("ctdrop status --warning 20 --critical 30");
    }
}
