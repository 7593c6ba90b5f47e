//! What names a flow: the tuple, as conntrack keeps it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What a flood sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// UDP without payload.
    Udp,
    /// TCP with the given flag bits, see [`Protocol::SYN`].
    Tcp {
        /// The flags byte of the header.
        flags: u8,
    },
    /// An echo request: `ICMP` over IPv4, `ICMPv6` over IPv6.
    Echo,
    /// An SCTP packet with one INIT chunk.
    Sctp,
    /// A GRE packet (RFC 2784) without payload.
    Gre,
    /// Eight bytes of any other protocol; conntrack tracks addresses alone.
    Other(u8),
}

impl Protocol {
    /// TCP flag bit: open a connection.
    pub const SYN: u8 = 0x02;
    /// TCP flag bit: acknowledge.
    pub const ACK: u8 = 0x10;

    /// A TCP SYN.
    pub const TCP_SYN: Self = Self::Tcp { flags: Self::SYN };

    /// The IP protocol number over `family`.
    pub const fn number(self, family: Family) -> u8 {
        match (self, family) {
            (Self::Udp, _) => 17,
            (Self::Tcp { .. }, _) => 6,
            (Self::Echo, Family::V4) => 1,
            (Self::Echo, Family::V6) => 58,
            (Self::Sctp, _) => 132,
            (Self::Gre, _) => 47,
            (Self::Other(number), _) => number,
        }
    }

    /// Whether conntrack tells flows apart by more than their addresses.
    pub const fn has_source_port(self) -> bool {
        matches!(self, Self::Udp | Self::Tcp { .. } | Self::Echo | Self::Sctp)
    }

    /// What conntrack keeps as the destination port of a flow to `port`.
    pub const fn destination_port(self, family: Family, port: u16) -> u16 {
        match (self, family) {
            (Self::Udp | Self::Tcp { .. } | Self::Sctp, _) => port,
            (Self::Echo, Family::V4) => 8 << 8,
            (Self::Echo, Family::V6) => 128 << 8,
            (Self::Gre | Self::Other(_), _) => 0,
        }
    }
}

/// The original direction of a flow, as `struct nf_conntrack_tuple` keeps it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, Serialize)]
pub struct Tuple {
    /// IP protocol number.
    pub protocol: u8,
    /// Where the first packet came from.
    pub source: IpAddr,
    /// Source port; the identifier of an echo request; 0 without ports.
    pub source_port: u16,
    /// Where the first packet was going.
    pub destination: IpAddr,
    /// Destination port; type × 256 + code of an echo request; 0 without ports.
    pub destination_port: u16,
}

impl Tuple {
    /// The same flow seen from the other side, for protocols with ports.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            protocol: self.protocol,
            source: self.destination,
            source_port: self.destination_port,
            destination: self.source,
            destination_port: self.source_port,
        }
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = SocketAddr::new(self.source, self.source_port);
        let destination = SocketAddr::new(self.destination, self.destination_port);
        write!(f, "protocol {} {source} > {destination}", self.protocol)
    }
}
