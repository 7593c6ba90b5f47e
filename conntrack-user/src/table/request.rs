//! The request for a dump, with what the kernel can filter by, and for one entry.

use std::net::IpAddr;

use crate::table::{
    entry::Entry,
    filter::{Filter, IPV4, IPV6},
    wire::{
        DST_PORT, FILTER, HEADER, MARK, MARK_MASK, PROTO_NUM, SRC_PORT, TUPLE_IP, TUPLE_ORIG,
        TUPLE_PROTO, V4_DST, V4_SRC, V6_DST, V6_SRC, ZONE,
    },
};

/// `NFNL_SUBSYS_CTNETLINK` × 256 + `IPCTNL_MSG_CT_GET`.
const CT_GET: u16 = 1 << 8 | 1;
/// `NLM_F_REQUEST`, linux/netlink.h.
const REQUEST: u16 = 0x1;
/// `NLM_F_DUMP`
const DUMP: u16 = 0x300;
/// `NLA_F_NESTED`: the attribute holds attributes.
const NESTED: u16 = 0x8000;
/// `CTA_FILTER_ORIG_FLAGS`.
const ORIG_FLAGS: u16 = 1;
// `CTA_FILTER_F_*`, net/netfilter/nf_internals.h (5.8+).
const BY_SRC: u32 = 1 << 0;
const BY_DST: u32 = 1 << 1;
const BY_PROTOCOL: u32 = 1 << 3;

/// How much of a filter the kernel is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// All that some kernel can do; one that does not know an attribute ignores
    /// it.
    Everything,
    /// The address family alone, which every kernel can do.
    Family,
}

/// The address families to ask for, one after the other; 0 is both. A kernel
/// that can filter by protocol does it for one family only
/// (`ctnetlink_parse_tuple_filter`).
pub fn families(filter: &Filter) -> &'static [u8] {
    match filter.family_number() {
        0 if filter.protocol.is_some() => &[IPV4, IPV6],
        0 => &[0],
        IPV4 => &[IPV4],
        _ => &[IPV6],
    }
}

/// Builds the request. What the kernel leaves in is filtered again afterwards,
/// so it does no harm to ask too much.
///
/// An IPv6 address is not asked for: `ctnetlink_filter_match_tuple` (5.8 to at
/// least 6.12) leaves out the entries that have it, instead of the others.
pub fn dump(filter: &Filter, family: u8, ask: Ask) -> Vec<u8> {
    let mut bytes = begin(REQUEST | DUMP, family);
    if ask == Ask::Everything {
        if let Some(mark) = filter.mark {
            put(&mut bytes, MARK, &(mark.value & mark.mask).to_be_bytes());
            put(&mut bytes, MARK_MASK, &mark.mask.to_be_bytes());
        }
        if let Some(zone) = filter.zone {
            put(&mut bytes, ZONE, &zone.to_be_bytes());
        }
        tuple(&mut bytes, filter);
    }
    finish(bytes)
}

/// Builds the request for the entry of a flow with ports.
pub fn one(entry: &Entry) -> Vec<u8> {
    let mut bytes = begin(REQUEST, entry.family);
    let mut ip = Vec::new();
    if let (IpAddr::V4(src), IpAddr::V4(dst)) = (entry.src.ip(), entry.dst.ip()) {
        put(&mut ip, V4_SRC, &src.octets());
        put(&mut ip, V4_DST, &dst.octets());
    } else {
        put(&mut ip, V6_SRC, &entry.src.0.to_be_bytes());
        put(&mut ip, V6_DST, &entry.dst.0.to_be_bytes());
    }
    let mut protocol = Vec::new();
    put(&mut protocol, PROTO_NUM, &[entry.protocol]);
    put(&mut protocol, SRC_PORT, &entry.sport.to_be_bytes());
    put(&mut protocol, DST_PORT, &entry.dport.to_be_bytes());
    let mut tuple = Vec::new();
    put(&mut tuple, TUPLE_IP | NESTED, &ip);
    put(&mut tuple, TUPLE_PROTO | NESTED, &protocol);
    put(&mut bytes, TUPLE_ORIG | NESTED, &tuple);
    if entry.zone != 0 {
        put(&mut bytes, ZONE, &entry.zone.to_be_bytes());
    }
    finish(bytes)
}

/// The headers, with the length left open.
fn begin(flags: u16, family: u8) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[4..6].copy_from_slice(&CT_GET.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    // struct nfgenmsg: family, version, resource.
    bytes.extend([family, 0, 0, 0]);
    bytes
}

/// Puts the length in.
fn finish(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a request has some hundred bytes");
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

/// The part of the filter that is about the original tuple (5.8+).
fn tuple(bytes: &mut Vec<u8>, filter: &Filter) {
    let (src, dst) = filter.v4_addresses();
    let mut flags = 0;
    let mut ip = Vec::new();
    let mut protocol = Vec::new();
    if let Some(src) = src {
        flags |= BY_SRC;
        put(&mut ip, V4_SRC, &src.octets());
    }
    if let Some(dst) = dst {
        flags |= BY_DST;
        put(&mut ip, V4_DST, &dst.octets());
    }
    if let Some(number) = filter.protocol {
        flags |= BY_PROTOCOL;
        put(&mut protocol, PROTO_NUM, &[number]);
    }
    if flags == 0 {
        return;
    }
    let mut tuple = Vec::new();
    put(&mut tuple, TUPLE_IP | NESTED, &ip);
    put(&mut tuple, TUPLE_PROTO | NESTED, &protocol);
    put(bytes, TUPLE_ORIG | NESTED, &tuple);
    let mut by = Vec::new();
    put(&mut by, ORIG_FLAGS, &flags.to_ne_bytes());
    put(bytes, FILTER | NESTED, &by);
}

/// Appends an attribute, padded to four bytes.
fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).expect("attributes here are short");
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
