//! What a report says, as plain data: this is its JSON form (docs/json.md), and all
//! that the other forms are made of.

mod method;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::kernel::container::Names;
pub use crate::report::model::method::{Gap, Log, LogLine, Method};

/// A report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// `report`.
    pub r#type: &'static str,
    /// Version of ctdrop.
    pub version: String,
    /// When it was made.
    pub time: String,
    /// Whether addresses and names are masked.
    pub redacted: bool,
    /// The incident that it is about; none if it is about a time.
    pub incident: Option<i64>,
    /// Begin of the time that it covers.
    pub since: String,
    /// Its end.
    pub until: String,
    /// The three sentences.
    pub summary: Summary,
    /// The incidents, with their diagnosis.
    pub incidents: Vec<Incident>,
    /// What happened when.
    pub timeline: Timeline,
    /// Whose packets were refused.
    pub victims: Victims,
    /// Who was in the table, look by look.
    pub censuses: Vec<Census>,
    /// The limit, and what becomes of it.
    pub limits: Limits,
    /// What `--fix` did.
    pub fixes: Vec<Fix>,
    /// The host, boot by boot.
    pub hosts: Vec<Host>,
    /// How it was counted, and how exact that is.
    pub method: Method,
}

/// The three sentences.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// What happened.
    pub what: String,
    /// Who filled the table.
    pub who: String,
    /// What to do now.
    pub now: String,
}

/// An incident and its diagnosis.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Incident {
    /// Its number.
    pub incident: i64,
    /// The namespace whose table it is.
    pub netns_name: String,
    /// What files call the container or the pod that the namespace is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Names>,
    /// When it was opened.
    pub since: String,
    /// Its last refused packet.
    pub last: String,
    /// From the one to the other.
    pub seconds: f64,
    /// When it was closed; none while it is open.
    pub closed: Option<String>,
    /// Why.
    pub closed_by: Option<&'static str>,
    /// Packets refused.
    pub refused: u64,
    /// The same by reason.
    pub drops: BTreeMap<String, u64>,
    /// Flows refused for the first time meanwhile, on the host.
    pub flows: u64,
    /// The most entries.
    pub entries: Option<u64>,
    /// The limit.
    pub max: Option<u64>,
    /// Its kind, as docs/incidents.md has it.
    pub kind: String,
    /// The same in words.
    pub kind_text: String,
    /// How sure that is.
    pub confidence: String,
    /// The first culprit, in words.
    pub culprit: Option<String>,
    /// What shows it.
    pub evidence: Vec<String>,
    /// What speaks against it, or makes it less sure.
    pub against: Vec<String>,
    /// What helps, most first.
    pub remedies: Vec<Remedy>,
}

/// What helps.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Remedy {
    /// What it is about.
    pub what: String,
    /// How it is carried out.
    pub how: String,
    /// The commands.
    pub commands: Vec<String>,
}

/// What happened when.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// Its begin and end in milliseconds since 1970.
    #[serde(skip)]
    pub wall: (i64, i64),
    /// The length of a point.
    pub point_seconds: f64,
    /// The namespace whose entries the points have.
    pub netns_name: Option<String>,
    /// Packets refused in all of this time, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Points of which there is evidence, in order.
    pub points: Vec<Point>,
    /// What else happened.
    pub events: Vec<Event>,
}

impl Timeline {
    /// Whether it also shows a table. The timeline of several hosts does not.
    pub(super) fn has_table(&self) -> bool {
        let has_table = |point: &Point| point.entries.is_some() || point.max.is_some();
        self.netns_name.is_some() || self.points.iter().any(has_table)
    }
}

/// A point of time, and what was counted in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Point {
    /// Its begin.
    pub time: String,
    /// The same in milliseconds since 1970.
    #[serde(skip)]
    pub wall: i64,
    /// Packets refused.
    pub refused: u64,
    /// The same by reason.
    pub drops: BTreeMap<String, u64>,
    /// Entries evicted.
    pub evicted: u64,
    /// The most entries.
    pub entries: Option<u64>,
    /// The limit; 0 is none.
    pub max: Option<u64>,
}

/// Something else that happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Event {
    /// When.
    pub time: String,
    /// Its end, if it takes time.
    pub until: Option<String>,
    /// Begin and end in milliseconds since 1970.
    #[serde(skip)]
    pub wall: (i64, i64),
    /// `incident`, `limit`, `fix`, `module`, `census` or `gap`.
    pub kind: Lane,
    /// What.
    pub text: String,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// An incident was opened or closed.
    #[default]
    Incident,
    /// The limit was changed.
    Limit,
    /// `--fix` did something.
    Fix,
    /// The module was loaded or unloaded, programs were attached or detached.
    Module,
    /// Somebody looked who is in the table.
    Census,
    /// There is no evidence, or less.
    Gap,
}

/// Whose packets were refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Victims {
    /// Packets refused in all of this time.
    pub refused: u64,
    /// Flows refused for the first time in it, on the host.
    pub new_flows: u64,
    /// Packets of `refused` that are not in `flows`.
    pub others: u64,
    /// Packets without a flow of their own, on the host.
    pub unattributed: u64,
    /// Whether flows, services and senders were added up over the intervals with the
    /// most refused packets only.
    pub in_part: bool,
    /// The flows with the most packets.
    pub flows: Vec<Flow>,
    /// The services that they were for.
    pub services: Vec<Service>,
    /// The processes of this host that sent them.
    pub senders: Vec<Sender>,
}

/// A flow whose packets were refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Flow {
    /// Its namespace.
    pub netns_name: String,
    /// Why.
    pub reason: String,
    /// Conntrack zone.
    pub zone: u16,
    /// Protocol.
    pub protocol: String,
    /// Source address.
    pub src: String,
    /// Source port; of ICMP its id.
    pub sport: u16,
    /// Destination address.
    pub dst: String,
    /// Destination port; of ICMP type × 256 + code.
    pub dport: u16,
    /// Packets.
    pub packets: u64,
    /// End of the first interval that has it.
    pub first: String,
    /// End of the last one.
    pub last: String,
}

/// A service that packets were for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Service {
    /// Protocol.
    pub protocol: String,
    /// Destination address.
    pub dst: String,
    /// Destination port.
    pub dport: u16,
    /// Packets of the recorded flows.
    pub packets: u64,
    /// How many flows these are.
    pub flows: u64,
}

/// A process of this host that sent packets.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sender {
    /// Name and number.
    pub process: String,
    /// Its unit.
    pub unit: Option<String>,
    /// Its container or pod.
    pub container: Option<String>,
    /// What files call that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Names>,
    /// Packets of the recorded flows.
    pub packets: u64,
}

/// Who was in the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Census {
    /// The incident that it was taken for.
    pub incident: i64,
    /// When.
    pub time: String,
    /// Why then.
    pub cause: String,
    /// Entries.
    pub entries: u64,
    /// Those without a reply.
    pub unreplied: u64,
    /// Established TCP connections.
    pub established: u64,
    /// Of these, those without a packet for an hour.
    pub idle: u64,
    /// Those of which that cannot be told.
    pub idle_unknown: u64,
    /// By how much a row can be too low.
    pub error_bound: u64,
    /// The sources with the most entries.
    pub sources: Vec<Share>,
    /// The destinations.
    pub destinations: Vec<Share>,
    /// The services.
    pub services: Vec<Share>,
    /// The containers, pods and namespaces.
    pub owners: Vec<Share>,
}

/// Who has how many entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Share {
    /// Who.
    pub key: String,
    /// The container, pod or namespace whose address it is.
    pub owner: Option<String>,
    /// Entries.
    pub entries: u64,
    /// Those without a reply.
    pub unreplied: u64,
    /// Established connections that are idle.
    pub idle: u64,
}

/// The limit, and what becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Limits {
    /// Changes, in order.
    pub changes: Vec<LimitChange>,
    /// What would have survived before all this.
    pub before: Option<Survives>,
    /// What would survive in the end.
    pub after: Option<Survives>,
}

/// A change of the limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LimitChange {
    /// When it was seen.
    pub time: String,
    /// The limit before.
    pub max_before: u64,
    /// The limit since then.
    pub max: u64,
    /// The buckets before.
    pub buckets_before: u64,
    /// The buckets since then.
    pub buckets: u64,
    /// Who made it, where that is known.
    pub made_by: Option<String>,
}

/// Which limit would be in force after what can happen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Survives {
    /// When that was predicted.
    pub time: String,
    /// The limit in force then.
    pub max: Option<u64>,
    /// The buckets in force then.
    pub buckets: Option<u64>,
    /// After a boot.
    pub boot: Outcome,
    /// After a restart of a firewall service.
    pub service_restart: Outcome,
    /// After the module is loaded again.
    pub module_reload: Outcome,
    /// Why it may be wrong.
    pub caveats: Vec<String>,
}

/// A limit, and what decides it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// The limit; none if it cannot be told.
    pub max: Option<u64>,
    /// What decides it.
    pub because: String,
}

/// Something that `--fix` did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fix {
    /// When.
    pub time: String,
    /// What, as docs/json.md has it.
    pub action: String,
    /// The same in words.
    pub text: String,
    /// What takes it back.
    pub undo: Option<String>,
    /// What was changed.
    pub steps: Vec<Step>,
}

/// Something that was changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    /// `live`, `create` or `edit`.
    pub kind: String,
    /// The file.
    pub path: String,
    /// What was in it; of a live value.
    pub before: Option<String>,
    /// What is; of a live value.
    pub after: Option<String>,
    /// Why.
    pub why: String,
    /// The change of a file.
    pub diff: Option<String>,
}

/// A start of the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Host {
    /// Its name.
    pub host: String,
    /// Release of the kernel.
    pub kernel: String,
    /// What the distribution calls itself.
    pub distribution: Option<String>,
    /// Processors.
    pub processors: Option<u64>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Starts of ctdrop in it.
    pub runs: Vec<Run>,
}

/// A start of ctdrop.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Run {
    /// When.
    pub since: String,
    /// Its end, if it ended by itself.
    pub until: Option<String>,
    /// Version of ctdrop.
    pub version: String,
    /// How it observed.
    pub backend: Option<String>,
    /// What may not have been seen, each as a sentence.
    pub warnings: Vec<String>,
}
