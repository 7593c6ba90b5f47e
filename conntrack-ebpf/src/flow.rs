//! Flows, services and senders: keys and values of the maps that have one entry
//! for each.

use core::hash::{Hash, Hasher};

/// One direction of a flow in one namespace, with what happened to it.
///
/// The tuple is the original one, as the sender wrote it, before NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FlowKey {
    /// Source address, network order; IPv4 uses the first four bytes.
    pub src: [u8; 16],
    /// Destination address, as `src`.
    pub dst: [u8; 16],
    /// Inode of the network namespace (`net->ns.inum`; `lsns -t net`).
    pub netns: u32,
    /// Source port, host order; for ICMP and ICMPv6 the query id.
    pub sport: u16,
    /// Destination port, host order; for ICMP and ICMPv6 `type << 8 | code`.
    pub dport: u16,
    /// Conntrack zone of the original direction; 0 unless configured.
    pub zone: u16,
    /// Address family: 2 (IPv4) or 10 (IPv6); 0 if it could not be read.
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`crate::Reason`]. As wide as it is so that no padding has to be cleared.
    pub reason: u32,
    /// The process that sent the packet from this host (`tgid` in the initial
    /// pid namespace); 0 of one that was received, or whose sender is not known.
    pub sender: u32,
}
const _: () = assert!(size_of::<FlowKey>() == 52);

impl FlowKey {
    /// Whether this key, which was read from the headers of a packet, can be of a packet of
    /// the other key. Ports that could not be read are not compared.
    pub const fn has_headers_of(&self, other: &Self) -> bool {
        let has_ports = self.sport != 0 || self.dport != 0;
        let same_ports = self.sport == other.sport && self.dport == other.dport;
        // Compared as numbers, because the programs have no `memcmp`.
        u128::from_ne_bytes(self.src) == u128::from_ne_bytes(other.src)
            && u128::from_ne_bytes(self.dst) == u128::from_ne_bytes(other.dst)
            && self.family == other.family
            && self.protocol == other.protocol
            && (same_ports || !has_ports)
    }
}

/// In words, which hashers take much faster than field by field.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.src));
        state.write_u128(u128::from_ne_bytes(self.dst));
        let ports = u32::from(self.sport) << 16 | u32::from(self.dport);
        state.write_u64(u64::from(self.netns) << 32 | u64::from(ports));
        let [zone_high, zone_low] = self.zone.to_be_bytes();
        let kind = u32::from_be_bytes([zone_high, zone_low, self.family, self.protocol]);
        state.write_u64(u64::from(self.reason) << 32 | u64::from(kind));
        state.write_u32(self.sender);
    }
}

/// What is counted for one [`FlowKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowCount {
    /// Packets; for [`crate::Reason::Evicted`] entries.
    pub packets: u64,
    /// Time of the first, in nanoseconds of `CLOCK_MONOTONIC`.
    pub first: u64,
    /// Time of the last, in nanoseconds of `CLOCK_MONOTONIC`.
    pub last: u64,
}
const _: () = assert!(size_of::<FlowCount>() == 24);

/// Where a packet wanted to go: what is left of a flow for which the flow map
/// had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ServiceKey {
    /// Destination address, as in [`FlowKey`].
    pub dst: [u8; 16],
    /// Inode of the network namespace.
    pub netns: u32,
    /// Destination port, as in [`FlowKey`].
    pub dport: u16,
    /// Address family, as in [`FlowKey`].
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`crate::Reason`]. As wide as it is so that no padding has to be cleared.
    pub reason: u32,
}
const _: () = assert!(size_of::<ServiceKey>() == 28);

impl From<&FlowKey> for ServiceKey {
    fn from(flow: &FlowKey) -> Self {
        Self {
            dst: flow.dst,
            netns: flow.netns,
            dport: flow.dport,
            family: flow.family,
            protocol: flow.protocol,
            reason: flow.reason,
        }
    }
}

/// What is known of a process that sent packets, when it last did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Sender {
    /// Id of its cgroup in the unified hierarchy: the inode of the cgroup's
    /// directory.
    pub cgroup: u64,
    /// Name of the sending thread (`task_struct.comm`), up to its first 0.
    pub comm: [u8; 16],
}
const _: () = assert!(size_of::<Sender>() == 24);
