//! The command line.

mod contradictions;

use std::{ffi::OsString, net::IpAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum, builder::RangedI64ValueParser, value_parser};
use conntrack_ebpf::Reason;

use crate::{
    auto::guard,
    logs::when::When,
    observe::{arming::Arm, backend::Backend},
    say::{finding, protocol, reason},
    table::filter::{Family, Mark},
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

/// Options of `ctdrop probe`.
#[derive(Clone, Debug, clap::Args)]
pub struct Probe {
    /// Output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

/// Options of `ctdrop logs`.
#[derive(Clone, Debug, clap::Args)]
pub struct Logs {
    /// Logs: syslog files, output of dmesg or journalctl; gz, bz2, xz or zst;
    /// - for standard input. Parts of one log are read together
    #[arg(value_name = "FILE", conflicts_with = "root")]
    pub files: Vec<PathBuf>,

    /// Output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Read the logs of the system below this directory
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,

    /// Only from this time on: 2026-03-12, "2026-03-12 13:40", RFC 3339, or 2h
    /// for two hours ago
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub since: Option<When>,

    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,

    /// Only this host, by its name in the log; may be given more than once
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,

    /// The year that each log begins in, where its times have none; by default
    /// told from the time that the file was written last
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(i16).range(1970..=9998))]
    pub year: Option<i16>,

    /// Threads that search; by default one for each processor
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,
}

/// Options of `ctdrop fix`.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub struct Fix {
    /// Output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Change the files of this mounted or copied tree in place of the running
    /// host's
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// This limit, whatever the load
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=i32::MAX as u64))]
    pub to: Option<u64>,

    /// Show the plan and change nothing
    #[arg(long, conflicts_with_all = ["yes", "emit_script"])]
    pub dry_run: bool,

    /// Carry the plan out without asking
    #[arg(short, long)]
    pub yes: bool,

    /// Print a shell script that does the same on the host that the tree was
    /// copied from, and takes it back; change nothing here
    #[arg(long, conflicts_with = "yes")]
    pub emit_script: bool,

    /// Make lines comments that say something else and do not count
    #[arg(long)]
    pub edit_conflicts: bool,

    /// Time between the two looks at the running kernel's counters
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,
}

/// Options of `ctdrop undo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Undo {
    /// The fix to take back; the last one if none is given
    #[arg(value_name = "ID")]
    pub id: Option<String>,

    /// Output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Of this mounted or copied tree in place of the running host
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// Show all fixes that are kept, and change nothing
    #[arg(long, conflicts_with = "id")]
    pub list: bool,
}

/// Options of `ctdrop status`.
#[derive(Clone, Debug, clap::Args)]
pub struct Status {
    /// Output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Judge this mounted or copied tree in place of the running host: its etc,
    /// usr and, for the kernel's numbers, what was copied of its proc
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// Time between the two looks at the kernel's numbers
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,

    /// A table this full is a warning, in per cent of the limit; not above --critical
    #[arg(long, value_name = "PERCENT", default_value_t = 75, value_parser = percent())]
    pub warning: u8,

    /// A table this full is critical
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = percent())]
    pub critical: u8,
}

fn percent() -> RangedI64ValueParser<u8> {
    value_parser!(u8).range(1..=100)
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

/// Options of `ctdrop watch`.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub struct Watch {
    /// Output: text for people, json for programs (one object a line)
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Time between two reports, such as 500ms, 1s, 1m
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,

    /// Stop after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,

    /// What the rows of the table are
    #[arg(long, value_enum, default_value = "flow")]
    pub by: By,

    /// Rows to show, the ones with the most packets
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,

    /// In the final totals, show every flow instead of the top ones
    #[arg(long)]
    pub all_flows: bool,

    /// Only this network namespace: its name, inode number, pid:PID or path
    #[arg(long, value_name = "NETNS")]
    pub netns: Option<String>,

    /// Only flows of this IP protocol, by name or number; totals by reason
    /// still cover all protocols
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    pub proto: Option<u8>,

    /// Only this reason; may be given more than once
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub reason: Vec<ReasonName>,

    /// Name service ports, from /etc/services
    #[arg(long)]
    pub service_names: bool,

    /// Use this way to observe, or fail; by default the best that works here
    #[arg(long, value_enum)]
    pub backend: Option<Backend>,

    /// When to attach the programs that run for each new flow; until they are,
    /// refused packets are counted, but not by flow
    #[arg(long, value_enum, default_value = "always")]
    pub arm: Arm,

    /// Let go of the conntrack module when nobody else needs it, so that it can
    /// be unloaded, and come back when it is needed (only fexit holds it)
    #[arg(long)]
    pub release_module: bool,

    /// What to do about packets that are refused for a full table or long hash
    /// chains
    #[arg(long, value_enum, default_value = "off")]
    pub fix: guard::Mode,

    /// With --fix plan or auto, set no limit above this one; by default, above what takes 10 %
    /// of the memory
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=i32::MAX as u64))]
    pub ceiling: Option<u64>,

    /// Print only the final totals, and fixes that are made
    #[arg(short, long)]
    pub quiet: bool,
}

/// Options of `ctdrop who`.
#[derive(Clone, Debug, clap::Args)]
pub struct Who {
    /// Output: text for people, json for programs (one object a line)
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Only this network namespace: its name, inode number, pid:PID or path
    #[arg(long, value_name = "NETNS")]
    pub netns: Option<String>,

    /// Only entries of this address family
    #[arg(long, value_enum)]
    pub family: Option<Family>,

    /// Only entries of this IP protocol, by name or number
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    pub proto: Option<u8>,

    /// Only entries with this source of the original direction
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub src: Option<IpAddr>,

    /// Only entries with this destination of the original direction
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub dst: Option<IpAddr>,

    /// Only entries of this zone
    #[arg(long, value_name = "N")]
    pub zone: Option<u16>,

    /// Only entries with this mark, such as 0x10 or 0x10/0xf0
    #[arg(long, value_name = "VALUE[/MASK]", value_parser = mark)]
    pub mark: Option<Mark>,

    /// Rows of each table, the ones with the most entries
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,

    /// Name service ports, from /etc/services
    #[arg(long)]
    pub service_names: bool,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object a line; docs/json.md describes them.
    Json,
}

/// What packets are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Each flow by itself
    Flow,
    /// Source address
    Src,
    /// Destination address
    Dst,
    /// Destination address, protocol and port
    Service,
    /// Network namespace
    Netns,
    /// Reason
    Reason,
    /// Process of this host that sent the packets
    Sender,
}

/// Reasons by the name they have in the output; two kernel reasons can share
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonName(pub &'static str);

fn reason(text: &str) -> Result<ReasonName, String> {
    let mut names: Vec<&str> = Reason::ALL.map(reason::reason_name).to_vec();
    names.push(reason::OTHER);
    names.dedup();
    names
        .iter()
        .find(|&&name| name == text)
        .map(|&name| ReasonName(name))
        .ok_or_else(|| format!("no such reason; there are {}", names.join(", ")))
}

fn protocol(text: &str) -> Result<u8, String> {
    protocol::protocol_number(text)
        .ok_or_else(|| "not a protocol: give a name such as udp, or a number up to 255".to_owned())
}

fn address(text: &str) -> Result<IpAddr, String> {
    if text.contains('/') {
        return Err("prefixes are not taken: give one address".to_owned());
    }
    text.parse()
        .map_err(|_| "not an address: give one such as 192.0.2.1 or 2001:db8::1".to_owned())
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "not a number of threads: give 1 or more".to_owned())
}

fn mark(text: &str) -> Result<Mark, String> {
    let number = |text: &str| {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        digits
            .map_or_else(|| text.parse(), |digits| u32::from_str_radix(digits, 16))
            .map_err(|_| format!("{text:?} is no number of 32 bits; give one such as 16 or 0x10"))
    };
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    Ok(Mark {
        value: number(value)?,
        mask: number(mask)?,
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text)
        .map_err(|_| "not a time: give a number and a unit, such as 500ms, 30s or 5m".to_owned())?;
    if parsed.is_zero() {
        return Err("must be longer than nothing".to_owned());
    }
    Ok(parsed)
}

/// Each report reads every namespace's counters.
const SHORTEST: Duration = Duration::from_millis(100);

fn interval(text: &str) -> Result<Duration, String> {
    let parsed = duration(text)?;
    if parsed < SHORTEST {
        return Err("must be 100ms or longer".to_owned());
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn watch(arguments: &[&str]) -> Result<Watch, String> {
        let line = ["ctdrop", "watch"].iter().chain(arguments);
        match Cli::try_parse_from(line) {
            Ok(Cli {
                command: Command::Watch(watch),
            }) => Ok(watch),
            Ok(_) => Err("another command".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

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

    #[test]
    fn marks_have_a_mask_if_it_is_given() {
        let whole = Mark {
            value: 16,
            mask: u32::MAX,
        };
        assert_eq!(mark("0x10"), Ok(whole));
        assert_eq!(mark("16"), Ok(whole));
        assert_eq!(mark("0x10/0xF0").unwrap().mask, 0xf0);
        for bad in ["", "x", "1/", "0x1ffffffff", "-1"] {
            assert!(mark(bad).is_err(), "{bad:?} is no mark");
        }
    }

    #[test]
    fn reasons_and_protocols_are_checked_by_name() {
        let options = watch(&["--reason", "clash", "--reason", "other", "--proto", "udp"]).unwrap();
        assert_eq!(options.reason, [ReasonName("clash"), ReasonName("other")]);
        assert_eq!(options.proto, Some(17));
        assert!(
            watch(&["--reason", "full"])
                .unwrap_err()
                .contains("table_full")
        );
        assert!(watch(&["--proto", "300"]).is_err());
    }
}
