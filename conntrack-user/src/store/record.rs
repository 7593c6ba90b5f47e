//! What is written and read: evidence of some time, as plain data.

use crate::store::{
    incident::{Census, Incident},
    interval::Interval,
    moment::Moment,
};

/// Evidence of some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Namespaces that are new, or of which something has changed.
    pub namespaces: Vec<Namespace>,
    /// What was counted.
    pub intervals: Vec<Interval>,
    /// Changes of the limit.
    pub limits: Vec<LimitChange>,
    /// Which limit would be in force after a boot and the like.
    pub survivals: Vec<Survival>,
    /// What happened to ctdrop, the module and namespaces.
    pub events: Vec<Event>,
    /// Lines of the kernel log.
    pub log_lines: Vec<LogLine>,
    /// What `--fix` did.
    pub fixes: Vec<Fix>,
    /// Times without evidence.
    pub gaps: Vec<Gap>,
    /// Incidents that are new or were revised.
    pub incidents: Vec<Incident>,
    /// Looks into tables.
    pub censuses: Vec<Census>,
    /// What is known of this run by now, if that is new.
    pub run: Option<Run>,
}

/// A network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its number in the store.
    pub netns: i64,
    /// Its inode; 0 stands for those of packets whose namespace is not known.
    pub inode: u32,
    /// What it is called.
    pub name: String,
    /// Whether it is the host's own.
    pub is_host: bool,
    /// When it was first seen.
    pub since: Moment,
    /// When it was seen to be gone.
    pub ended: Option<Moment>,
}

/// Somebody has changed the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitChange {
    /// When it was seen.
    pub at: Moment,
    /// The limit before.
    pub max_before: u64,
    /// The buckets before.
    pub buckets_before: u64,
    /// The limit since then.
    pub max: u64,
    /// The buckets since then.
    pub buckets: u64,
    /// Who changed it, where that is known.
    pub made_by: Option<String>,
}

/// Which limit would be in force after what can happen to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survival {
    /// When it was predicted.
    pub at: Moment,
    /// Why then: `started`, `opened`, `limit` or `fix`.
    pub cause: String,
    /// The limit and the buckets in force then.
    pub in_force: Option<(u64, u64)>,
    /// The limit after a boot; none if it cannot be told.
    pub boot: Option<u64>,
    /// After a restart of a firewall service.
    pub restart: Option<u64>,
    /// After the module is loaded again.
    pub reload: Option<u64>,
    /// What decides each, as JSON.
    pub body: String,
}

/// Something happened to ctdrop, the module or a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What, as in `"type": "event"` of docs/json.md.
    pub event: String,
    /// The namespace, and its new name.
    pub detail: Option<String>,
}

/// A line of the kernel log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written; monotonic by the clock of the log.
    pub at: Moment,
    /// What it says.
    pub text: String,
}

/// Something that `--fix` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fix {
    /// When.
    pub at: Moment,
    /// What, as in `"type": "fix"` of docs/json.md.
    pub action: String,
    /// All of it, as JSON.
    pub body: String,
}

/// A time without evidence, or with less.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Its begin.
    pub from: Moment,
    /// Its end.
    pub at: Moment,
    /// `stopped`, `killed`, `reboot` or `not_written`.
    pub why: String,
    /// Rows that had no room in memory meanwhile.
    pub lost: u64,
    /// The error.
    pub detail: Option<String>,
}

/// What is known of this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// How it observes.
    pub backend: Option<String>,
    /// The line `start` of `ctdrop watch -o json`.
    pub start: Option<String>,
    /// What its numbers may lack, as JSON.
    pub losses: Option<String>,
    /// When it ended by itself.
    pub ended: Option<Moment>,
}

/// What a run begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// What tells this boot from any other.
    pub boot_id: String,
    /// Name of the host.
    pub host: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Facts about the host, as JSON.
    pub facts: String,
}

/// What identifies a run in any database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Id of the boot that it is in.
    pub boot_id: String,
    /// When it began: by the clock of the host, and by the monotonic one of the boot.
    pub began: (i64, i64),
    /// The last moment of which it has evidence, by the monotonic clock.
    pub until: i64,
}

impl Start {
    /// Whether it is the same run.
    pub fn is(&self, other: &Self) -> bool {
        self.boot_id == other.boot_id && self.began == other.began
    }

    /// Whether both have evidence of the same time.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.boot_id == other.boot_id && self.began.1 < other.until && other.began.1 < self.until
    }
}

/// A run as it is read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastRun {
    /// Its number.
    pub run: i64,
    /// When it began.
    pub began: Moment,
    /// Version of ctdrop.
    pub version: String,
    /// What is known of it.
    pub known: Run,
    /// The boot that it is in.
    pub boot: Boot,
}

impl Run {
    /// Takes over what is known later.
    pub fn join(&mut self, later: Self) {
        self.backend = later.backend.or(self.backend.take());
        self.start = later.start.or(self.start.take());
        self.losses = later.losses.or(self.losses.take());
        self.ended = later.ended.or(self.ended);
    }
}
