//! Flows and reasons as user space knows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};
use bytes::Buf as _;
use conntrack_ebpf::{FlowCount, FlowKey, Reason, Sender, ServiceKey, TotalCounts, TotalKey};

/// Reads a flow key as it lies in the map.
pub fn decode_flow(mut bytes: &[u8]) -> Result<FlowKey> {
    let (mut src, mut dst) = ([0; 16], [0; 16]);
    bytes.try_copy_to_slice(&mut src).context(SHORT)?;
    bytes.try_copy_to_slice(&mut dst).context(SHORT)?;
    let key = FlowKey {
        src,
        dst,
        netns: bytes.try_get_u32_ne().context(SHORT)?,
        sport: bytes.try_get_u16_ne().context(SHORT)?,
        dport: bytes.try_get_u16_ne().context(SHORT)?,
        zone: bytes.try_get_u16_ne().context(SHORT)?,
        family: bytes.try_get_u8().context(SHORT)?,
        protocol: bytes.try_get_u8().context(SHORT)?,
        reason: bytes.try_get_u32_ne().context(SHORT)?,
        sender: bytes.try_get_u32_ne().context(SHORT)?,
    };
    Ok(key)
}

/// Reads a sender as it lies in the map.
pub fn decode_sender(mut bytes: &[u8]) -> Result<Sender> {
    let mut comm = [0; 16];
    let cgroup = bytes.try_get_u64_ne().context(SHORT)?;
    bytes.try_copy_to_slice(&mut comm).context(SHORT)?;
    Ok(Sender { cgroup, comm })
}

/// Reads a flow's count as it lies in the map.
pub fn decode_count(mut bytes: &[u8]) -> Result<FlowCount> {
    Ok(FlowCount {
        packets: bytes.try_get_u64_ne().context(SHORT)?,
        first: bytes.try_get_u64_ne().context(SHORT)?,
        last: bytes.try_get_u64_ne().context(SHORT)?,
    })
}

/// Reads a service key as it lies in the map.
pub fn decode_service(mut bytes: &[u8]) -> Result<ServiceKey> {
    let mut dst = [0; 16];
    bytes.try_copy_to_slice(&mut dst).context(SHORT)?;
    Ok(ServiceKey {
        dst,
        netns: bytes.try_get_u32_ne().context(SHORT)?,
        dport: bytes.try_get_u16_ne().context(SHORT)?,
        family: bytes.try_get_u8().context(SHORT)?,
        protocol: bytes.try_get_u8().context(SHORT)?,
        reason: bytes.try_get_u32_ne().context(SHORT)?,
    })
}

/// Reads the key of totals as it lies in the map.
pub fn decode_total_key(mut bytes: &[u8]) -> Result<TotalKey> {
    Ok(TotalKey {
        netns: bytes.try_get_u32_ne().context(SHORT)?,
        epoch: bytes.try_get_u32_ne().context(SHORT)?,
    })
}

/// Reads the totals of one CPU as they lie in the map.
pub fn decode_totals(mut bytes: &[u8]) -> Result<TotalCounts> {
    let mut counts = TotalCounts::default();
    for slot in &mut counts.slots {
        *slot = bytes.try_get_u64_ne().context(SHORT)?;
    }
    Ok(counts)
}

const SHORT: &str = "an eBPF map gave a shorter entry than it was made for";

/// An address as the maps hold it.
pub fn address(family: u8, bytes: [u8; 16]) -> IpAddr {
    if i32::from(family) == libc::AF_INET6 {
        Ipv6Addr::from(bytes).into()
    } else {
        let [a, b, c, d, ..] = bytes;
        Ipv4Addr::new(a, b, c, d).into()
    }
}

/// `ipv4`, `ipv6`, or `unknown` where the packet could not be read.
pub fn family_name(family: u8) -> &'static str {
    match i32::from(family) {
        libc::AF_INET => "ipv4",
        libc::AF_INET6 => "ipv6",
        _ => "unknown",
    }
}

/// The name of an IP protocol, as `conntrack -L` writes it, else its number
/// (<https://www.iana.org/assignments/protocol-numbers>).
pub fn protocol_name(protocol: u8) -> String {
    PROTOCOLS
        .iter()
        .find(|&&(number, _)| number == protocol)
        .map_or_else(|| protocol.to_string(), |&(_, name)| name.to_owned())
}

/// The number of an IP protocol given by name or number.
pub fn protocol_number(text: &str) -> Option<u8> {
    PROTOCOLS
        .iter()
        .find(|&&(_, name)| name.eq_ignore_ascii_case(text))
        .map(|&(number, _)| number)
        .or_else(|| text.parse().ok())
}

/// Those that conntrack tracks by more than their addresses, and a few that
/// hosts really see.
const PROTOCOLS: &[(u8, &str)] = &[
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipip"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "icmpv6"),
    (89, "ospf"),
    (103, "pim"),
    (112, "vrrp"),
    (132, "sctp"),
    (136, "udplite"),
];

/// Whether a protocol's "ports" are an id, a type and a code.
pub const fn is_icmp(protocol: u8) -> bool {
    matches!(protocol, 1 | 58)
}

/// Whether a protocol has ports.
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// The name of a reason in all output.
pub const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::TableFull => "table_full",
        Reason::NoMemory => "no_memory",
        Reason::Clash => "clash",
        Reason::NatExhausted => "nat_exhausted",
        Reason::ChainTooLong => "chain_too_long",
        Reason::Dying => "dying",
        Reason::StaleExtension | Reason::StaleExtensionLate => "stale_extension",
        Reason::AlreadyConfirmed => "already_confirmed",
        Reason::Evicted => "evicted",
        Reason::ClashResolved => "clash_resolved",
        Reason::NonPacket | Reason::NonPacketChain => "non_packet",
    }
}

/// Name of what a counter shows and no program saw.
pub const OTHER: &str = "other";

/// The same for a reason's number from a map: an unknown one is shown, not
/// hidden.
pub fn reason_text(number: u32) -> String {
    Reason::try_from(number).map_or_else(
        |number| format!("reason#{number}"),
        |reason| reason_name(reason).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(key: &FlowKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(key.src);
        bytes.extend(key.dst);
        bytes.extend(key.netns.to_ne_bytes());
        bytes.extend(key.sport.to_ne_bytes());
        bytes.extend(key.dport.to_ne_bytes());
        bytes.extend(key.zone.to_ne_bytes());
        bytes.extend([key.family, key.protocol]);
        bytes.extend(key.reason.to_ne_bytes());
        bytes.extend(key.sender.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_flow_key_survives_the_map() {
        let key = FlowKey {
            src: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            dst: [10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            netns: 4_026_531_840,
            sport: 40_000,
            dport: 53,
            zone: 7,
            family: 2,
            protocol: 17,
            reason: Reason::Clash as u32,
            sender: 4711,
        };
        let bytes = bytes_of(&key);
        assert_eq!(bytes.len(), size_of::<FlowKey>());
        assert_eq!(decode_flow(&bytes).unwrap(), key);
        assert!(decode_flow(&bytes[..51]).is_err());
    }

    #[test]
    fn addresses_are_of_their_family() {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[192, 0, 2, 1]);
        assert_eq!(address(2, bytes).to_string(), "192.0.2.1");
        bytes[0] = 0xfd;
        assert!(address(10, bytes).is_ipv6());
    }

    #[test]
    fn every_reason_has_a_name_and_unknown_ones_are_shown() {
        for (number, reason) in (0_u32..).zip(Reason::ALL) {
            assert_eq!(reason as u32, number, "ALL is in the order of the numbers");
            assert_eq!(reason_text(number), reason_name(reason));
        }
        assert_eq!(reason_text(99), "reason#99");
    }

    #[test]
    fn protocols_go_both_ways() {
        for &(number, name) in PROTOCOLS {
            assert_eq!(protocol_number(name), Some(number));
            assert_eq!(protocol_name(number), name);
        }
        assert_eq!(protocol_name(253), "253");
        assert_eq!(protocol_number("253"), Some(253));
        assert_eq!(protocol_number("nonsense"), None);
    }
}
