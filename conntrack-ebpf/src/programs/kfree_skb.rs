//! The tracepoint backend: packets that netfilter dropped before they had a
//! conntrack entry.
//!
//! A packet refused by a full table is one. So is one that a rule drops before
//! conntrack sees it, or that conntrack finds invalid and a rule drops then. The
//! namespace's counter `drop` tells them apart ([`drop_counter`]).

#![expect(
    clippy::needless_pass_by_value,
    reason = "the macros that make entry points pass the context by value"
)]

use aya_ebpf::{bindings::BPF_NOEXIST, macros::btf_tracepoint, programs::BtfTracePointContext};
use conntrack_ebpf::{
    Fault, FlowKey, Reason,
    drop_counter::{Accounted, Dropped},
};

use crate::{
    count,
    kernel::{self, Bytes, Net, Read, Skb, Typed, Unreadable},
    maps, sender,
};

/// `AF_INET` and `AF_INET6`, as `l3num` has them.
const INET: u8 = 2;
const INET6: u8 = 10;

/// `ETH_P_IP` and `ETH_P_IPV6`, as `skb->protocol` has them.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// `skb->_nfct` of a packet that a rule has exempted from tracking (`IP_CT_UNTRACKED`,
/// `include/uapi/linux/netfilter/nf_conntrack_common.h`).
const UNTRACKED: u64 = 7;

/// `TP_PROTO(struct sk_buff *skb, void *location, enum skb_drop_reason
/// reason, …)` (`include/trace/events/skb.h`, 5.18 and later).
#[btf_tracepoint(function = "kfree_skb")]
pub fn kfree_skb(ctx: BtfTracePointContext) -> i32 {
    if kernel::is_netfilter_drop(ctx.arg(2)) {
        let skb = Skb::<Typed>::at(ctx.arg(0));
        match skb.nfct() {
            Ok(0) => {
                #[cfg(feature = "debug-log")]
                aya_log_ebpf::debug!(&ctx, "packet without an entry dropped");
                let position = kernel::stack_position(&ctx);
                if let Err(Unreadable) = dropped(skb, position) {
                    count::fault(Fault::Unreadable);
                }
            }
            Ok(UNTRACKED) | Err(Unreadable) => {}
            // The same counter counts clashes, whose packets have an entry.
            Ok(_) => {
                if let Ok(net) = skb.net()
                    && let Ok(netns) = net.inum()
                {
                    judge(net, netns);
                }
            }
        }
    }
    0
}

/// A packet without an entry was dropped.
fn dropped(skb: Skb<Typed>, position: u32) -> Read<()> {
    let protocol = skb.protocol()?;
    if !matches!(protocol, IPV4 | IPV6) {
        // Conntrack sees nothing else.
        return Ok(());
    }
    let epoch = count::epoch();
    let Ok(net) = skb.net() else {
        count::total(epoch, 0, Reason::RuleOrRefused);
        return Err(Unreadable);
    };
    let Ok(netns) = net.inum() else {
        count::total(epoch, 0, Reason::RuleOrRefused);
        return Err(Unreadable);
    };
    let reason = match judge(net, netns) {
        Dropped::ByRule => return Ok(()),
        Dropped::Refused => Reason::TableFull,
        Dropped::Undecided => Reason::RuleOrRefused,
    };
    if let Ok(mut flow) = flow_key(skb, protocol, netns, reason) {
        flow.sender = sender::of_packet(skb, position);
        count::flow(epoch, &flow);
        Ok(())
    } else {
        count::total(epoch, netns, reason);
        Err(Unreadable)
    }
}

/// Who dropped a packet of this namespace.
fn judge(net: Net, netns: u32) -> Dropped {
    let Ok(drops) = drops_here(net) else {
        count::fault(Fault::Unreadable);
        return Dropped::Undecided;
    };
    let mut accounted = maps::ACCOUNTED.get_ptr_mut(netns);
    if accounted.is_none() {
        // Fails if there is no room, or if another CPU was faster.
        let _ = maps::ACCOUNTED.insert(netns, Accounted::UNKNOWN, u64::from(BPF_NOEXIST));
        accounted = maps::ACCOUNTED.get_ptr_mut(netns);
    }
    match accounted {
        Some(accounted) => kernel::update(accounted, |accounted| accounted.judge(drops)),
        None => Accounted::UNKNOWN.clone().judge(drops),
    }
}

/// The namespace's counter `drop` on this CPU.
fn drops_here(net: Net) -> Read<u32> {
    let offset = maps::OWN_OFFSET.get_ptr_mut(0).ok_or(Unreadable)?;
    let known = kernel::peek(offset);
    if known != 0 {
        return net.drops(known);
    }
    let map = &raw const maps::OWN_OFFSET as u64;
    let found = kernel::own_offset(map, offset as u64)?;
    kernel::update(offset, |offset| *offset = found);
    net.drops(found)
}

/// The flow as conntrack would see it (`nf_ct_get_tuple`,
/// `net/netfilter/nf_conntrack_core.c`), except for the zone, which nothing but
/// an entry tells.
fn flow_key(skb: Skb<Typed>, protocol: u16, netns: u32, reason: Reason) -> Read<FlowKey> {
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
        reason: reason as u32,
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
