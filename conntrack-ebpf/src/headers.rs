//! Reads the flow of a packet from its headers, if the packet has no entry.

use conntrack_ebpf::FlowKey;

use crate::{
    kernel::{Bytes, Read, Skb, Typed},
    sender,
};

/// `AF_INET` and `AF_INET6`, as `l3num` has them.
const INET: u8 = 2;
const INET6: u8 = 10;

/// `ETH_P_IP` and `ETH_P_IPV6`, as `skb->protocol` has them.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// The protocols whose identifier conntrack takes for a port.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Sizes of the headers without options and extensions.
const V4: usize = 20;
const V6: usize = 40;

/// Number of bytes after the headers that contain the ports, or what conntrack takes for them.
const PORTS: usize = 6;

/// Whether conntrack sees packets of this protocol.
pub const fn is_ip(protocol: u16) -> bool {
    matches!(protocol, IPV4 | IPV6)
}

/// The flow as conntrack would see it (`nf_ct_get_tuple`,
/// `net/netfilter/nf_conntrack_core.c`), except for the zone, which nothing but
/// an entry tells.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "a call costs more than a part of the function"
)]
pub fn flow_key(skb: Skb<Typed>, protocol: u16, netns: u32, reason: u32) -> Read<FlowKey> {
    let packet = skb.network()?;
    let mut key = FlowKey {
        src: [0; 16],
        dst: [0; 16],
        netns,
        sport: 0,
        dport: 0,
        zone: 0,
        family: 0,
        protocol: 0,
        reason,
        sender: sender::NONE,
    };
    if protocol == IPV4 {
        ipv4(packet, &mut key)?;
    } else {
        ipv6(packet, &mut key)?;
    }
    Ok(key)
}

/// Reads an IPv4 header and the ports after it. Two copies take more instructions than one
/// longer copy. So if no options are between header and ports, one copy reads both.
fn ipv4(packet: Bytes, key: &mut FlowKey) -> Read<()> {
    if let Ok(start) = packet.read::<[u8; V4 + PORTS]>(0)
        && let (Some(header), Some(behind)) = (start.first_chunk(), start.last_chunk())
        && ipv4_header(header, key) == 20
    {
        take_ports(*behind, key);
        return Ok(());
    }
    let transport = ipv4_header(&packet.read(0)?, key);
    read_ports(packet, transport, key);
    Ok(())
}

/// Takes the addresses and the protocol. Returns the length of the header.
fn ipv4_header(header: &[u8; V4], key: &mut FlowKey) -> u32 {
    key.family = INET;
    key.protocol = header[9];
    key.src[..4].copy_from_slice(&header[12..16]);
    key.dst[..4].copy_from_slice(&header[16..20]);
    u32::from(header[0] & 0x0f) * 4
}

/// Reads an IPv6 header and the ports after it, as [`ipv4`] does.
fn ipv6(packet: Bytes, key: &mut FlowKey) -> Read<()> {
    if let Ok(start) = packet.read::<[u8; V6 + PORTS]>(0)
        && let (Some(header), Some(behind)) = (start.first_chunk(), start.last_chunk())
    {
        ipv6_header(header, key);
        if extension_unit(key.protocol).is_none() {
            take_ports(*behind, key);
            return Ok(());
        }
    } else {
        ipv6_header(&packet.read(0)?, key);
    }
    let transport = skip_extensions(packet, key)?;
    read_ports(packet, transport, key);
    Ok(())
}

/// Takes the addresses, and the protocol that follows the header.
fn ipv6_header(header: &[u8; V6], key: &mut FlowKey) {
    key.family = INET6;
    key.protocol = header[6];
    key.src.copy_from_slice(&header[8..24]);
    key.dst.copy_from_slice(&header[24..40]);
}

/// Reads the protocol behind the extension headers; gives the offset of what follows.
fn skip_extensions(packet: Bytes, key: &mut FlowKey) -> Read<u32> {
    /// More extension headers than any sender uses.
    const HEADERS: u32 = 6;

    let mut offset = 40;
    for _ in 0..HEADERS {
        let Some(unit) = extension_unit(key.protocol) else {
            break;
        };
        let [next, length]: [u8; 2] = packet.read(offset)?;
        offset += unit.length(length);
        key.protocol = next;
    }
    Ok(offset)
}

/// How an IPv6 extension header counts its length.
#[derive(Clone, Copy)]
enum Unit {
    /// Eight bytes, and so many times eight more (RFC 8200, section 4).
    Eights,
    /// Eight bytes whatever it says (fragment header, section 4.5).
    Fixed,
    /// Eight bytes, and so many times four more (RFC 4302, section 2.2).
    Fours,
}

impl Unit {
    fn length(self, field: u8) -> u32 {
        match self {
            Self::Eights => (u32::from(field) + 1) * 8,
            Self::Fixed => 8,
            Self::Fours => (u32::from(field) + 2) * 4,
        }
    }
}

const fn extension_unit(protocol: u8) -> Option<Unit> {
    match protocol {
        // Hop-by-hop options, routing, destination options.
        0 | 43 | 60 => Some(Unit::Eights),
        44 => Some(Unit::Fixed),
        51 => Some(Unit::Fours),
        _ => None,
    }
}

/// Reads what conntrack takes for ports, where they lie in the packet's first
/// piece; leaves 0 otherwise.
fn read_ports(packet: Bytes, transport: u32, key: &mut FlowKey) {
    if let Ok(all) = packet.read(transport) {
        take_ports(all, key);
    } else if let Ok([a, b, c, d]) = packet.read::<[u8; 4]>(transport)
        && has_ports(key.protocol)
    {
        take_ports([a, b, c, d, 0, 0], key);
    }
}

/// Takes the ports from the first bytes after the IP header.
fn take_ports(bytes: [u8; PORTS], key: &mut FlowKey) {
    let word = |first: usize| u16::from_be_bytes([bytes[first], bytes[first + 1]]);
    if has_ports(key.protocol) {
        key.sport = word(0);
        key.dport = word(2);
    } else if matches!(key.protocol, ICMP | ICMPV6) {
        // The identifier, and the type with the code.
        key.sport = word(4);
        key.dport = word(0);
    }
}

/// TCP, UDP, DCCP, SCTP, UDP-Lite.
const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}
