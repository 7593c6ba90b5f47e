//! Flows, and the services of packets without one.

use conntrack_ebpf::ServiceKey;
use serde::{Serialize, Serializer};

use crate::{
    engine::{
        names::Names,
        report::Report,
        rows::{Row, Subject},
    },
    kernel::process::Process,
    say::{
        clock::Clock,
        protocol::{address, family_name, has_ports, is_icmp, protocol_name},
        reason::reason_text,
    },
};

/// Flows, written out one by one: all together would not fit the bound on
/// memory.
#[derive(Debug)]
pub(super) struct Flows<'a>(pub(super) &'a Report);

impl Serialize for Flows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let flow = |row| Flow::new(row, &self.0.names, self.0.clock);
        serializer.collect_seq(self.0.flows.top.iter().filter_map(flow))
    }
}

/// A flow and its packets.
#[derive(Debug, Serialize)]
pub(super) struct Flow<'a> {
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
pub(super) enum Sender<'a> {
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
    pub(super) fn new(pid: u32, names: &'a Names) -> Option<Self> {
        let known = names.process(pid).map(Self::Known);
        (pid != 0).then(|| known.unwrap_or(Self::Unknown { pid }))
    }
}

impl<'a> Flow<'a> {
    /// Writes out a row, if it is a flow.
    pub(super) fn new(row: &Row, names: &'a Names, clock: Clock) -> Option<Self> {
        let Subject::Flow(key) = row.subject else {
            return None;
        };
        let ports = has_ports(key.protocol);
        let icmp = is_icmp(key.protocol);
        let [icmp_type, icmp_code] = key.dport.to_be_bytes();
        Some(Self {
            reason: reason_text(key.reason),
            netns: key.netns,
            netns_name: names.netns(key.netns),
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
            sender: Sender::new(key.sender, names),
            packets: row.count.packets,
            first: clock.text(row.count.first),
            last: clock.text(row.count.last),
        })
    }
}

/// Where packets without a flow of their own went.
#[derive(Debug, Serialize)]
pub(super) struct Service {
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
    pub(super) fn new(key: &ServiceKey, packets: u64) -> Self {
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
