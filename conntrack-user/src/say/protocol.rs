//! Names of address families and IP protocols, and what their numbers mean.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_their_family() {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[192, 0, 2, 1]);
        assert_eq!(address(2, bytes).to_string(), "192.0.2.1");
        bytes[0] = 0xfd;
        assert!(address(10, bytes).is_ipv6());
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
