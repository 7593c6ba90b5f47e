//! The arguments of `ctdrop watch`.

use std::{path::PathBuf, time::Duration};

use crate::{
    auto::guard,
    cli::{
        addresses::Addresses,
        values::{duration, interval, limit, protocol, reason, size, speed},
    },
    commands::watch::{self, options::Speed},
    engine::{self, by::By},
    logs::time::When,
    observe::{arming::Arm, backend::Backend},
    say::{output::Output, reason::ReasonName},
    store::keep::Bounds,
    subscribers::{Printed, hook::command::Command},
};

/// Options of `ctdrop watch`.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub struct Watch {
    /// Form of the output: text for people, json for programs (one object a line)
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Time between two readings of the kernel's counters; each makes a report. Such as 500ms,
    /// 1s, 1m
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,

    /// Stop after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,

    /// What the rows of the table are
    #[arg(long, value_enum, default_value = "flow")]
    pub by: By,

    /// Number of rows of a table; those with the most packets are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,

    /// In the final totals, show every flow instead of the top ones
    #[arg(long)]
    pub all_flows: bool,

    /// Only this network namespace: its name, inode number, pid:PID or path
    #[arg(long, value_name = "NETNS")]
    pub netns: Option<String>,

    /// Only this IP protocol, by name or number; totals by reason still cover all protocols
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    pub proto: Option<u8>,

    #[command(flatten)]
    pub(super) addresses: Addresses,

    /// Only this reason; may be given more than once
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub reason: Vec<ReasonName>,

    /// Show service names instead of port numbers, from /etc/services
    #[arg(long)]
    pub service_names: bool,

    /// Use this backend; fail if it does not work. Default: the best one that works
    #[arg(long, value_enum)]
    pub backend: Option<Backend>,

    /// When to attach the programs that run for each new flow; until they are,
    /// refused packets are counted, but not by flow
    #[arg(long, value_enum, default_value = "always")]
    pub arm: Arm,

    /// Detach from the conntrack module when nothing else uses it, so that it can
    /// be unloaded; attach again when something else uses it. Only the backend fexit
    /// keeps the module from being unloaded
    #[arg(long)]
    pub release_module: bool,

    /// What to do about packets that are refused for a full table or long hash
    /// chains
    #[arg(long, value_enum, default_value = "off")]
    pub fix: guard::Mode,

    /// Highest limit that --fix may set; default: the limit at which entries take 10 %
    /// of the memory
    #[arg(long, value_name = "N", value_parser = limit())]
    pub ceiling: Option<u64>,

    /// Also record counts and incidents in this file: an evidence database like that of
    /// ctdrop daemon
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Run this command when an incident is opened and when it is closed, with the incident as JSON
    /// on its standard input; ctdrop runs no shell for it (docs/hooks.md). Needs --record
    #[arg(long, value_name = "CMD", value_parser = Command::read, requires = "record")]
    pub exec: Option<Command>,

    /// Also write the first bytes of refused packets to this file, for Wireshark (pcapng):
    /// up to 8 packets of a flow and 1,000 a second; what is not captured is counted. Needs
    /// the backend fexit, kprobe or tracepoint
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,

    /// Largest size of the file of --pcap
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64MiB", requires = "pcap")]
    pub pcap_size: u64,

    /// On a terminal, print lines as in a pipe instead of showing the live screen
    #[arg(long)]
    pub no_tui: bool,

    /// Print only the header, the final totals, fixes, and messages of the recorder and of --pcap
    #[arg(short, long)]
    pub quiet: bool,

    /// Observe nothing: replay this file, which ctdrop daemon or --record has written
    #[arg(long, value_name = "FILE", conflicts_with_all = OBSERVING)]
    pub replay: Option<PathBuf>,

    /// Speed of the replay: 10 is ten times as fast as recorded, 0.5 half as fast; max
    /// does not wait
    #[arg(long, value_name = "N", value_parser = speed, default_value = "1", requires = "replay")]
    pub speed: Speed,

    /// Only from this time on: 2026-03-12, "2026-03-12 13:40",
    /// 13:40 for today, RFC 3339, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = When::parse, requires = "replay")]
    pub since: Option<When>,

    /// Only up to this time
    #[arg(long, value_name = "TIME", value_parser = When::parse, requires = "replay")]
    pub until: Option<When>,
}

/// The options that are about what is observed, which a replay cannot change.
const OBSERVING: [&str; 17] = [
    "interval",
    "duration",
    "by",
    "all_flows",
    "netns",
    "proto",
    "src",
    "dst",
    "reason",
    "backend",
    "arm",
    "release_module",
    "fix",
    "ceiling",
    "record",
    "exec",
    "pcap",
];

impl Watch {
    /// Why packets cannot be captured as they are asked for.
    fn may_capture(&self) -> Result<(), String> {
        if self.backend == Some(Backend::Counters) {
            return Err(
                "backend counters sees no packets: --pcap needs fexit, kprobe or tracepoint"
                    .to_owned(),
            );
        }
        if self.addresses.src.is_some() || self.addresses.dst.is_some() {
            return Err(
                "--pcap does not work with --src and --dst: leave them out, and filter in Wireshark"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

impl TryFrom<Watch> for watch::options::Options {
    /// What contradicts what.
    type Error = String;

    fn try_from(watch: Watch) -> Result<Self, String> {
        if watch.ceiling.is_some() && watch.fix == guard::Mode::Off {
            return Err("--ceiling has no effect without --fix plan or --fix auto".to_owned());
        }
        if let Some(contradiction) = watch.addresses.contradiction(None) {
            return Err(contradiction);
        }
        if watch.pcap.is_some() {
            watch.may_capture()?;
        }
        Ok(Self {
            engine: engine::options::Options {
                backend: watch.backend,
                arm: watch.arm,
                release_module: watch.release_module,
                interval: watch.interval,
                duration: watch.duration,
                netns: watch.netns,
                protocol: watch.proto,
                src: watch.addresses.src,
                dst: watch.addresses.dst,
                reasons: watch.reason,
                by: watch.by,
                top: watch.top,
                all_flows: watch.all_flows,
                capture: watch.pcap.is_some(),
                ..engine::options::Options::default()
            },
            output: watch.output,
            service_names: watch.service_names,
            fix: watch.fix,
            ceiling: watch.ceiling,
            printed: if watch.quiet {
                Printed::Fixes
            } else {
                Printed::All
            },
            screen: !watch.no_tui,
            record: watch.record.map(|file| watch::options::Record {
                file,
                bounds: Bounds::default(),
            }),
            hook: watch.exec,
            pcap: watch.pcap.map(|file| watch::options::Pcap {
                file,
                most: watch.pcap_size,
            }),
            replay: watch.replay.map(|file| watch::options::Replay {
                file,
                speed: watch.speed,
                since: watch.since,
                until: watch.until,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::read::{
        Arguments, Subcommand,
        tests::{assert_accepted, assert_refused},
    };

    fn watch(arguments: &[&str]) -> Result<Watch, String> {
        let line = ["ctdrop", "watch"].iter().chain(arguments);
        match Arguments::try_parse_from(line) {
            Ok(Arguments {
                command: Some(Subcommand::Watch(watch)),
                ..
            }) => Ok(watch),
            Ok(_) => Err("another command".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn durations_have_units_and_a_floor() {
        let options = watch(&["--interval", "250ms", "--duration", "1m 30s"]).unwrap();
        assert_eq!(options.interval, Duration::from_millis(250));
        assert_eq!(options.duration, Some(Duration::from_secs(90)));
        for bad in ["10", "-1s", "soon", "0s", ""] {
            assert!(
                watch(&["--duration", bad]).is_err(),
                "{bad:?} is no duration"
            );
        }
        assert!(watch(&["--interval", "1ms"]).unwrap_err().contains("100ms"));
    }

    #[test]
    fn reasons_and_protocols_are_checked_by_name() {
        let options = watch(&["--reason", "clash", "--reason", "other", "--proto", "udp"]).unwrap();
        let names = options.reason.iter().map(|reason| reason.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["clash", "other"]);
        assert_eq!(options.proto, Some(17));
        assert!(
            watch(&["--reason", "full"])
                .unwrap_err()
                .contains("table_full")
        );
        assert!(watch(&["--proto", "300"]).is_err());
    }

    #[test]
    fn a_ceiling_needs_a_fix() {
        assert_refused("ctdrop watch --ceiling 9", 2, "without --fix");
        assert_refused(
            "ctdrop watch --fix off --ceiling 9",
            2,
            "Usage: ctdrop watch",
        );
        assert_accepted("ctdrop watch --fix plan --ceiling 9");
        assert_accepted("ctdrop watch --fix auto --ceiling 9");
        assert_accepted("ctdrop watch");
    }

    #[test]
    fn a_hook_needs_incidents() {
        assert_accepted("ctdrop watch --record x.db --exec true");
        assert_refused("ctdrop watch --exec true", 2, "--record <FILE>");
        assert_refused("ctdrop watch --record x.db --exec 'a", 2, "close it");
        assert_refused("ctdrop watch --record x.db --exec=", 2, "give a program");
    }

    #[test]
    fn packets_are_captured_where_a_program_sees_them() {
        assert_refused(
            "ctdrop watch --pcap x --backend counters",
            2,
            "--pcap needs fexit, kprobe or tracepoint",
        );
        for address in ["--src 10.0.0.0/8", "--dst 192.0.2.1"] {
            let line = format!("ctdrop watch --pcap x {address}");
            assert_refused(&line, 2, "filter in Wireshark");
        }
        assert_refused("ctdrop watch --pcap-size 8MiB", 2, "--pcap <FILE>");
        assert_refused("ctdrop watch --pcap x --pcap-size 8", 2, "such as 64MiB");
        let options = watch(&["--pcap", "x", "--pcap-size", "8MiB"]).unwrap();
        let options = watch::options::Options::try_from(options).unwrap();
        assert!(options.engine.capture);
        assert_eq!(options.pcap.unwrap().most, 8 << 20);
        let options = watch::options::Options::try_from(watch(&[]).unwrap()).unwrap();
        assert!(!options.engine.capture && options.pcap.is_none());
    }

    #[test]
    fn a_replay_observes_nothing() {
        assert_accepted("ctdrop watch --replay x.db --speed 10 --since 2h --top 3 -o json -q");
        assert_accepted("ctdrop watch --replay x.db --speed max");
        for observing in [
            "--backend fexit",
            "--arm auto",
            "--fix plan",
            "--netns host",
            "--interval 2s",
            "--record y.db",
            "--record y.db --exec true",
            "--pcap y.pcapng",
            "--by src",
            "--src 10.0.0.0/8",
        ] {
            let line = format!("ctdrop watch --replay x.db {observing}");
            assert_refused(&line, 2, "cannot be used with");
        }
        assert_refused("ctdrop watch --speed 2", 2, "--replay <FILE>");
        assert_refused("ctdrop watch --since 2h", 2, "--replay <FILE>");
        for bad in ["0", "-1", "1e-300", "fast", "inf", "nan"] {
            let line = format!("ctdrop watch --replay x.db --speed={bad}");
            assert_refused(&line, 2, "such as 10 or 0.5, or max");
        }
        let options = watch(&["--replay", "x.db"]).unwrap();
        let options = watch::options::Options::try_from(options).unwrap();
        assert_eq!(options.replay.unwrap().speed, Speed::Times(1.0));
    }
}
