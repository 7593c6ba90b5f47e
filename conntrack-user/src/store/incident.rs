//! Incidents and censuses, as they are kept.

use crate::store::moment::Moment;

/// An incident: of one table, from its first refused packet until it was quiet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incident {
    /// Its number.
    pub id: i64,
    /// Number of the namespace in the store.
    pub netns: i64,
    /// What the namespace was called; only read, never written.
    pub netns_name: String,
    /// When it was opened.
    pub opened: Moment,
    /// The last refused packet, or when the table was full for the last time.
    pub last: Moment,
    /// When it was closed, and why; none while it is open.
    pub closed: Option<(Moment, ClosedBy)>,
    /// Packets refused since it was opened.
    pub refused: u64,
    /// The same by reason, as JSON.
    pub drops: String,
    /// Flows refused for the first time meanwhile, on the whole host.
    pub flows: u64,
    /// The most entries.
    pub entries: Option<u64>,
    /// The limit.
    pub max: Option<u64>,
    /// Its kind, as docs/incidents.md names it.
    pub kind: String,
    /// How sure that is.
    pub confidence: String,
    /// The first culprit, in words.
    pub culprit: Option<String>,
    /// All of the diagnosis, as JSON.
    pub body: String,
}

/// Why an incident was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// Nothing was refused for long enough.
    Quiet,
    /// Its namespace is gone.
    NetnsGone,
    /// ctdrop ended.
    Stopped,
    /// ctdrop was killed.
    Killed,
    /// The host was booted.
    Reboot,
}

impl ClosedBy {
    /// Each of them.
    pub const ALL: [Self; 5] = [
        Self::Quiet,
        Self::NetnsGone,
        Self::Stopped,
        Self::Killed,
        Self::Reboot,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::NetnsGone => "netns_gone",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Reboot => "reboot",
        }
    }
}

/// Who was in a table at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// The incident that it was taken for.
    pub incident: i64,
    /// When.
    pub at: Moment,
    /// `opened`, `peak` or `doubled`.
    pub cause: String,
    /// Entries.
    pub entries: u64,
    /// Of these, those that saw no reply.
    pub unreplied: u64,
    /// Established TCP connections.
    pub established: u64,
    /// Of these, those without a packet for an hour or longer.
    pub idle: u64,
    /// Those of which that cannot be told.
    pub idle_unknown: u64,
    /// By how many entries a row can be too low.
    pub error_bound: u64,
    /// The rows with the most entries.
    pub rows: Vec<CensusRow>,
}

/// Entries of a source, a destination, a service or an owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CensusRow {
    /// `source`, `destination`, `service` or `owner`.
    pub by: String,
    /// Which one.
    pub key: String,
    /// The container, pod or namespace whose address it is.
    pub owner: Option<String>,
    /// Its entries.
    pub entries: u64,
    /// Of these, those that saw no reply.
    pub unreplied: u64,
    /// Of these, established connections that are idle.
    pub idle: u64,
}
