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
    let transport = if protocol == IPV4 {
        ipv4(packet, &mut key)?
    } else {
        ipv6(packet, &mut key)?
    };
    ports(packet, transport, &mut key);
    Ok(key)
}

/// Reads the addresses and the protocol; gives the offset of what follows.
fn ipv4(packet: Bytes, key: &mut FlowKey) -> Read<u32> {
    let header: [u8; 20] = packet.read(0)?;
    key.family = INET;
    key.protocol = header[9];
    key.src[..4].copy_from_slice(&header[12..16]);
    key.dst[..4].copy_from_slice(&header[16..20]);
    Ok(u32::from(header[0] & 0x0f) * 4)
}

/// Reads the addresses and, past the extension headers, the protocol; gives
/// the offset of what follows.
fn ipv6(packet: Bytes, key: &mut FlowKey) -> Read<u32> {
    /// More extension headers than any sender uses.
    const HEADERS: u32 = 6;

    key.family = INET6;
    key.src = packet.read(8)?;
    key.dst = packet.read(24)?;
    let mut protocol: u8 = packet.read(6)?;
    let mut offset = 40;
    for _ in 0..HEADERS {
        let Some(unit) = extension_unit(protocol) else {
            break;
        };
        let [next, length]: [u8; 2] = packet.read(offset)?;
        offset += unit.length(length);
        protocol = next;
    }
    key.protocol = protocol;
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
fn ports(packet: Bytes, transport: u32, key: &mut FlowKey) {
    match key.protocol {
        // TCP, UDP, DCCP, SCTP, UDP-Lite.
        6 | 17 | 33 | 132 | 136 => {
            if let Ok([a, b, c, d]) = packet.read::<[u8; 4]>(transport) {
                key.sport = u16::from_be_bytes([a, b]);
                key.dport = u16::from_be_bytes([c, d]);
            }
        }
        // ICMP, ICMPv6: id, and type with code.
        1 | 58 => {
            if let Ok([kind, code, _, _, a, b]) = packet.read::<[u8; 6]>(transport) {
                key.sport = u16::from_be_bytes([a, b]);
                key.dport = u16::from_be_bytes([kind, code]);
            }
        }
        _ => {}
    }
}
