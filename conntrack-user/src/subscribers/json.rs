//! The JSON stream, one object a line; described in docs/json.md.

use std::collections::BTreeMap;

use conntrack_ebpf::ServiceKey;
use serde::{Serialize, Serializer};

use crate::{
    auto::event::Kept,
    engine::{
        by::By,
        chosen::Change,
        header::Header,
        report::{NamespaceState, Report},
        rows::{Row, Rows, Subject},
    },
    kernel::netns::Namespaces,
    observe::{
        check::{counter::Growth, proof::Range},
        counts::{
            health::{Faults, Missed},
            senders::{Process, Senders},
        },
        observer::{event::Event, log::Logged, snapshot::Snapshot},
    },
    say::{
        clock::{self, Clock},
        protocol::{address, family_name, has_ports, is_icmp, protocol_name},
        reason::reason_text,
    },
    subscribers::output::Last,
};

/// A line of the stream.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Line<'a> {
    /// Refusals are seen better or worse from now on.
    Event {
        /// RFC 3339.
        time: String,
        /// What has changed; `waiting` comes before the start.
        event: Changed,
    },
    /// Something has become of the namespace asked for.
    #[serde(rename = "event")]
    Chosen {
        /// RFC 3339.
        time: String,
        /// `netns_gone` or `netns_renamed`.
        event: &'static str,
        /// Its inode.
        netns: u32,
        /// What it was called.
        netns_name: &'a str,
        /// What it is called now, if it is there.
        #[serde(skip_serializing_if = "Option::is_none")]
        now: Option<&'a str>,
    },
    /// The first.
    Start {
        /// RFC 3339.
        time: String,
        /// Version of ctdrop.
        version: &'static str,
        /// Where it runs, and how well it can see.
        #[serde(flatten)]
        header: &'a Header,
    },
    /// One for each interval.
    Interval(Body<'a>),
    /// The last.
    Summary {
        /// The numbers.
        #[serde(flatten)]
        body: Body<'a>,
        /// Name of the host.
        host: &'a str,
        /// Release of the kernel.
        release: &'a str,
        /// By how many packets a flow's count can be too low.
        error_bound: u64,
        /// Where packets went whose flow has no count of its own.
        services: Vec<Service>,
        /// What the kernel log has said, where it is read.
        #[serde(skip_serializing_if = "Option::is_none")]
        log: Option<Logged>,
        /// Fixes that were made, the first one first; none without `--fix`.
        #[serde(skip_serializing_if = "Option::is_none")]
        fixes: Option<&'a [Kept]>,
        /// What may be wrong with the numbers; not there if nothing.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        warnings: &'a [String],
    },
}

/// What has changed.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Changed {
    /// Something about the programs.
    Programs(Event),
    /// Conntrack is not loaded.
    Waiting(&'static str),
}

impl<'a> Line<'a> {
    /// An event.
    pub fn event(event: Event) -> Self {
        Self::Event {
            time: clock::now(),
            event: Changed::Programs(event),
        }
    }

    /// Conntrack is not loaded, so nothing begins yet.
    pub fn waiting() -> Self {
        Self::Event {
            time: clock::now(),
            event: Changed::Waiting("waiting"),
        }
    }

    /// Something has become of the namespace asked for.
    pub fn chosen(netns: u32, name: &'a str, change: &'a Change) -> Self {
        let (event, now) = match change {
            Change::Gone => ("netns_gone", None),
            Change::Renamed { now } => ("netns_renamed", Some(now.as_str())),
        };
        Self::Chosen {
            time: clock::now(),
            event,
            netns,
            netns_name: name,
            now,
        }
    }

    /// The first line.
    pub fn start(header: &'a Header) -> Self {
        Self::Start {
            time: clock::now(),
            version: env!("CARGO_PKG_VERSION"),
            header,
        }
    }

    /// An interval's line.
    pub fn interval(report: &'a Report, snapshot: &'a Snapshot, clock: Clock) -> Self {
        Self::Interval(Body::new(report, snapshot, clock))
    }

    /// The last line.
    pub fn summary(
        report: &'a Report,
        snapshot: &'a Snapshot,
        clock: Clock,
        header: &'a Header,
        services: Vec<Service>,
        last: &'a Last<'a>,
    ) -> Self {
        Self::Summary {
            body: Body::new(report, snapshot, clock),
            host: &header.host,
            release: &header.release,
            error_bound: report.error_bound,
            services,
            log: report.logged,
            fixes: last.fixes,
            warnings: &last.warnings,
        }
    }
}

/// The numbers of an interval, or of all.
#[derive(Debug, Serialize)]
pub struct Body<'a> {
    /// RFC 3339, at the end of the period.
    pub time: String,
    /// Length of the period.
    pub seconds: f64,
    /// The rung.
    pub backend: String,
    /// Whether all its programs are attached, at this moment.
    pub armed: bool,
    /// Lost packets by reason.
    pub drops: BTreeMap<&'static str, u64>,
    /// How many packets were lost, where only counters tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drops_range: Option<Range>,
    /// Entries killed to make room.
    pub evicted: u64,
    /// Clashes without a loss.
    pub clash_resolved: u64,
    /// Entries refused that no packet wanted.
    pub non_packet: u64,
    /// Lost packets whose flow has no count of its own.
    pub unattributed: u64,
    /// The flows.
    pub flows: Flows<'a>,
    /// Flows left out of `flows`.
    pub flows_omitted: usize,
    /// Sums, if something else than flows is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups<'a>>,
    /// The namespaces in which most packets were lost.
    pub namespaces: Vec<Namespace>,
    /// How many more there are.
    pub namespaces_omitted: usize,
    /// Growth of the kernel's counters over the period.
    pub kernel: Growth,
    /// Program runs that the kernel skipped, since the start.
    pub missed: Missed,
    /// Errors inside the programs, since the start.
    pub faults: Faults,
    /// Counts that do not match the kernel's counters, since the start.
    pub unexplained: u64,
    /// Lost packets that no counter could be held against, since the start.
    pub unchecked: u64,
    /// Whether `unexplained` is 0.
    pub reconciled: bool,
}

impl<'a> Body<'a> {
    fn new(report: &'a Report, snapshot: &'a Snapshot, clock: Clock) -> Self {
        let figures = &report.figures;
        let namespaces = &*snapshot.namespaces;
        Self {
            time: clock::now(),
            seconds: report.period.as_secs_f64(),
            backend: report.backend.to_string(),
            armed: snapshot.armed,
            drops: figures.drops.clone(),
            drops_range: figures.range,
            evicted: figures.evicted,
            clash_resolved: figures.clash_resolved,
            non_packet: figures.non_packet,
            unattributed: figures.unattributed,
            flows: Flows {
                rows: &report.flows.top,
                namespaces,
                senders: &snapshot.senders,
                clock,
            },
            flows_omitted: report.flows.more,
            groups: report
                .groups
                .as_ref()
                .map(|(by, rows)| Groups::new(*by, rows, namespaces, &snapshot.senders)),
            namespaces: report.namespaces.iter().map(Namespace::new).collect(),
            namespaces_omitted: report.namespaces_omitted,
            kernel: figures.kernel.clone(),
            missed: report.missed,
            faults: report.faults,
            unexplained: figures.discrepancy.total(),
            unchecked: figures.unchecked,
            reconciled: figures.reconciled(),
        }
    }
}

/// Flows, written out one by one: all together would not fit the bound on
/// memory.
#[derive(Debug)]
pub struct Flows<'a> {
    rows: &'a [Row],
    namespaces: &'a Namespaces,
    senders: &'a Senders,
    clock: Clock,
}

impl Serialize for Flows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let flow = |row| Flow::new(row, self);
        serializer.collect_seq(self.rows.iter().filter_map(flow))
    }
}

/// A flow and its packets.
#[derive(Debug, Serialize)]
struct Flow<'a> {
    reason: String,
    netns: u32,
    netns_name: String,
    zone: u16,
    family: &'static str,
    protocol: String,
    src: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sport: Option<u16>,
    dst: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dport: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_id: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<Sender<'a>>,
    packets: u64,
    first: Option<String>,
    last: Option<String>,
}

/// A process of this host that sent packets.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Sender<'a> {
    /// One whose name is known.
    Known(&'a Process),
    /// One that had ended before it was asked for, and was too many.
    Unknown {
        /// Its number.
        pid: u32,
    },
}

impl<'a> Sender<'a> {
    /// The process of that number; none of what was received.
    fn new(pid: u32, senders: &'a Senders) -> Option<Self> {
        let known = senders.get(pid).map(Self::Known);
        (pid != 0).then(|| known.unwrap_or(Self::Unknown { pid }))
    }
}

impl<'a> Flow<'a> {
    /// Writes out a row, if it is a flow.
    fn new(row: &Row, flows: &Flows<'a>) -> Option<Self> {
        let &Flows {
            namespaces,
            senders,
            clock,
            ..
        } = flows;
        let Subject::Flow(key) = row.subject else {
            return None;
        };
        let ports = has_ports(key.protocol);
        let icmp = is_icmp(key.protocol);
        let [icmp_type, icmp_code] = key.dport.to_be_bytes();
        Some(Self {
            reason: reason_text(key.reason),
            netns: key.netns,
            netns_name: namespaces.name_of(key.netns),
            zone: key.zone,
            family: family_name(key.family),
            protocol: protocol_name(key.protocol),
            src: address(key.family, key.src).to_string(),
            sport: ports.then_some(key.sport),
            dst: address(key.family, key.dst).to_string(),
            dport: ports.then_some(key.dport),
            icmp_id: icmp.then_some(key.sport),
            icmp_type: icmp.then_some(icmp_type),
            icmp_code: icmp.then_some(icmp_code),
            sender: Sender::new(key.sender, senders),
            packets: row.count.packets,
            first: clock.text(row.count.first),
            last: clock.text(row.count.last),
        })
    }
}

/// Where packets without a flow of their own went.
#[derive(Debug, Serialize)]
pub struct Service {
    reason: String,
    netns: u32,
    family: &'static str,
    protocol: String,
    dst: String,
    dport: u16,
    packets: u64,
}

impl Service {
    /// Writes out a service.
    pub fn new(key: &ServiceKey, packets: u64) -> Self {
        Self {
            reason: reason_text(key.reason),
            netns: key.netns,
            family: family_name(key.family),
            protocol: protocol_name(key.protocol),
            dst: address(key.family, key.dst).to_string(),
            dport: key.dport,
            packets,
        }
    }
}

/// Sums by something else than flows.
#[derive(Debug, Serialize)]
pub struct Groups<'a> {
    /// By what.
    pub by: By,
    /// The sums.
    pub rows: Vec<Group<'a>>,
    /// Sums left out.
    pub omitted: usize,
}

impl<'a> Groups<'a> {
    fn new(by: By, rows: &Rows, namespaces: &Namespaces, senders: &'a Senders) -> Self {
        Self {
            by,
            rows: rows
                .top
                .iter()
                .map(|row| Group::new(row, namespaces, senders))
                .collect(),
            omitted: rows.more,
        }
    }
}

/// A sum.
#[derive(Debug, Serialize)]
pub struct Group<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<Sender<'a>>,
    packets: u64,
}

impl<'a> Group<'a> {
    /// Writes out a row that is a sum.
    fn new(row: &Row, namespaces: &Namespaces, senders: &'a Senders) -> Self {
        let mut group = Self {
            netns: None,
            netns_name: None,
            address: None,
            protocol: None,
            port: None,
            reason: None,
            sender: None,
            packets: row.count.packets,
        };
        match row.subject {
            Subject::Flow(key) => group.netns = Some(key.netns),
            Subject::Address { netns, address } => {
                group.netns = Some(netns);
                group.address = Some(address.to_string());
            }
            Subject::Service {
                netns,
                address,
                protocol,
                port,
            } => {
                group.netns = Some(netns);
                group.address = Some(address.to_string());
                group.protocol = Some(protocol_name(protocol));
                group.port = Some(port);
            }
            Subject::Netns(netns) => group.netns = Some(netns),
            Subject::Reason(reason) => group.reason = Some(reason_text(reason)),
            Subject::Sender(pid) => group.sender = Sender::new(pid, senders),
        }
        group.netns_name = group.netns.map(|inode| namespaces.name_of(inode));
        group
    }
}

/// A namespace in which packets were lost.
#[derive(Clone, Debug, Serialize)]
pub struct Namespace {
    /// Inode.
    pub netns: u32,
    /// Name.
    pub name: String,
    /// Packets lost in the period.
    pub drops: u64,
    /// Entries now; none if the namespace could not be entered.
    pub entries: Option<u64>,
    /// Its limit.
    pub max: Option<u64>,
}

impl Namespace {
    fn new(state: &NamespaceState) -> Self {
        Self {
            netns: state.netns,
            name: state.name.clone(),
            drops: state.drops,
            entries: state.limits.entries,
            max: state.limits.max,
        }
    }
}
