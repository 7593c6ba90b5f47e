//! Ethernet frames with right checksums, made by patching a template.
//!
//! Conntrack checks checksums in prerouting: a wrong one makes the packet
//! `invalid` instead of new.

use std::net::IpAddr;

use super::tuple::{Family, Protocol};

/// Bytes of an Ethernet header.
pub(super) const ETHERNET: usize = 14;

/// Hop limit of every packet.
const HOPS: u8 = 64;

/// A frame without its source address and source port, ready to be patched.
#[derive(Clone, Debug)]
pub struct Template {
    /// The frame with zeros for source address, source port and checksums.
    frame: Vec<u8>,
    /// What the checksum of the transport header covers.
    checksum: Checksum,
    /// Offset of the source port or echo identifier in the frame.
    source_port: Option<usize>,
    /// One's complement sum of the IPv4 header in the frame; unused for IPv6.
    header_sum: u32,
}

/// How the transport header is protected.
#[derive(Clone, Copy, Debug)]
enum Checksum {
    /// Not at all.
    None,
    /// By the Internet checksum (RFC 1071).
    Internet {
        /// Offset of the checksum in the frame.
        at: usize,
        /// Sum of all that it covers in the frame.
        sum: u32,
        /// Whether it covers the IP addresses.
        pseudo_header: bool,
    },
    /// By `CRC32c` over header and chunks (RFC 9260).
    Crc32c {
        /// Offset of the checksum in the frame.
        at: usize,
    },
}

impl Template {
    /// Frames from Ethernet address `from` to `to`, going to
    /// `destination` and, where the protocol has ports, `destination_port`.
    pub fn new(
        from: [u8; 6],
        to: [u8; 6],
        protocol: Protocol,
        destination: IpAddr,
        destination_port: u16,
    ) -> Self {
        let transport = transport_header(protocol, destination, destination_port);
        let number = protocol.number(family(destination));
        let ip = ip_header(number, destination, transport.len());
        let start = ETHERNET + ip.len();
        let frame = [&to, &from, &ethertype(destination)[..], &ip, &transport].concat();
        let pseudo_sum = sum(&address_bytes(destination))
            .wrapping_add(u32::from(number))
            .wrapping_add(u32::try_from(transport.len()).unwrap_or(0));
        Self {
            checksum: checksum(protocol, destination, start, &transport, pseudo_sum),
            source_port: protocol.has_source_port().then_some(match protocol {
                Protocol::Echo => start + 4,
                _ => start,
            }),
            header_sum: sum(&ip),
            frame,
        }
    }

    /// The frame, without source and checksums.
    pub fn blank(&self) -> &[u8] {
        &self.frame
    }

    /// Completes `frame`, a copy of [`Self::blank`] or what an earlier call
    /// made of it, for a packet from `source` and `source_port`.
    pub fn patch(&self, frame: &mut [u8], source: IpAddr, source_port: u16) {
        let source_sum = match source {
            IpAddr::V4(address) => {
                let bytes = address.octets();
                frame[ETHERNET + 12..ETHERNET + 16].copy_from_slice(&bytes);
                let header_sum = self.header_sum + sum(&bytes);
                put(frame, ETHERNET + 10, &complement(header_sum).to_be_bytes());
                sum(&bytes)
            }
            IpAddr::V6(address) => {
                let bytes = address.octets();
                put(frame, ETHERNET + 8, &bytes);
                sum(&bytes)
            }
        };
        if let Some(at) = self.source_port {
            put(frame, at, &source_port.to_be_bytes());
        }
        self.seal(frame, source_sum, source_port);
    }

    /// Writes the checksum of the transport header.
    fn seal(&self, frame: &mut [u8], source_sum: u32, source_port: u16) {
        match self.checksum {
            Checksum::None => {}
            Checksum::Internet {
                at,
                sum,
                pseudo_header,
            } => {
                let addresses = if pseudo_header { source_sum } else { 0 };
                let value = complement(sum + addresses + u32::from(source_port));
                // Zero would mean "no checksum" to UDP (RFC 768); the other
                // protocols read both zeros alike.
                let value = if value == 0 { 0xffff } else { value };
                put(frame, at, &value.to_be_bytes());
            }
            Checksum::Crc32c { at } => {
                put(frame, at, &[0; 4]);
                let value = crc32c(&frame[at - 8..]);
                put(frame, at, &value.to_le_bytes());
            }
        }
    }
}

/// The family of an address.
pub(super) const fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// The bytes of an address in network order.
pub(super) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The Ethernet type for packets to `destination`.
const fn ethertype(destination: IpAddr) -> [u8; 2] {
    match destination {
        IpAddr::V4(_) => [0x08, 0x00],
        IpAddr::V6(_) => [0x86, 0xdd],
    }
}

/// An IP header without source address and checksum.
fn ip_header(protocol: u8, destination: IpAddr, payload: usize) -> Vec<u8> {
    let length = |headers: usize| {
        u16::try_from(headers + payload)
            .expect("the transport headers built here are shorter than 64 bytes")
            .to_be_bytes()
    };
    let (first, address) = match destination {
        IpAddr::V4(_) => {
            let [high, low] = length(20);
            // Version and header length, DSCP, length, id, don't fragment.
            let start = [0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, protocol, 0, 0];
            (start.to_vec(), 4)
        }
        IpAddr::V6(_) => {
            let [high, low] = length(0);
            // Version, class and flow label, length, next header.
            (vec![0x60, 0, 0, 0, high, low, protocol, HOPS], 16)
        }
    };
    [first, vec![0; address], address_bytes(destination)].concat()
}

/// A transport header without source port and checksum.
fn transport_header(protocol: Protocol, destination: IpAddr, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    match protocol {
        Protocol::Udp => vec![0, 0, high, low, 0, 8, 0, 0],
        Protocol::Tcp { flags } => {
            let mut header = vec![0, 0, high, low];
            // Sequence 1, acknowledgement 0, five words, window 65535.
            header.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            header
        }
        Protocol::Echo => {
            let kind = match family(destination) {
                Family::V4 => 8,
                Family::V6 => 128,
            };
            vec![kind, 0, 0, 0, 0, 0, 0, 1]
        }
        Protocol::Sctp => {
            let mut header = vec![0, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0];
            // INIT, 20 bytes: tag 1, window 65535, one stream each way, TSN 1.
            header.extend([1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0xff, 0xff]);
            header.extend([0, 1, 0, 1, 0, 0, 0, 1]);
            header
        }
        Protocol::Gre => vec![0, 0, 0x08, 0x00],
        Protocol::Other(_) => vec![0; 8],
    }
}

/// How `transport`, at offset `start` of the frame, is protected.
fn checksum(
    protocol: Protocol,
    destination: IpAddr,
    start: usize,
    transport: &[u8],
    pseudo_sum: u32,
) -> Checksum {
    let internet = |offset: usize, pseudo_header: bool| Checksum::Internet {
        at: start + offset,
        sum: sum(transport) + if pseudo_header { pseudo_sum } else { 0 },
        pseudo_header,
    };
    match protocol {
        Protocol::Udp => internet(6, true),
        Protocol::Tcp { .. } => internet(16, true),
        Protocol::Echo => internet(2, destination.is_ipv6()),
        Protocol::Sctp => Checksum::Crc32c { at: start + 8 },
        Protocol::Gre | Protocol::Other(_) => Checksum::None,
    }
}

/// Copies `bytes` into `frame` at `offset`.
fn put(frame: &mut [u8], offset: usize, bytes: &[u8]) {
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// The sum of the 16-bit words of `bytes`, an even number of them.
fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks_exact(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum()
}

/// The Internet checksum whose words add up to `sum`.
const fn complement(sum: u32) -> u16 {
    let folded = (sum >> 16) + (sum & 0xffff);
    let folded = (folded >> 16) + (folded & 0xffff);
    let [.., high, low] = folded.to_be_bytes();
    !u16::from_be_bytes([high, low])
}

/// The `CRC32c` of each byte value: Castagnoli's polynomial, reflected.
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u32;
    while byte < 256 {
        let mut value = byte;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ (0x82f6_3b78 * (value & 1));
            bit += 1;
        }
        table[byte as usize] = value;
        byte += 1;
    }
    table
};

/// `CRC32c` as SCTP uses it.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |value: u32, byte: &u8| {
        let index = (value ^ u32::from(*byte)) & 0xff;
        (value >> 8) ^ CRC32C[index as usize]
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frame of one packet after its addresses, as hexadecimal digits.
    fn build(protocol: Protocol, source: &str, destination: &str) -> String {
        let (from, to) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let template = Template::new(from, to, protocol, destination.parse().unwrap(), 53);
        let mut frame = template.blank().to_vec();
        // Once for another source, to see that nothing of it stays behind.
        let other = if destination.contains(':') {
            "fd00::ffff"
        } else {
            "10.9.9.9"
        };
        template.patch(&mut frame, other.parse().unwrap(), 9999);
        template.patch(&mut frame, source.parse().unwrap(), 1234);
        assert_eq!(frame[..12], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
        let digits = |byte: &u8| [byte >> 4, byte & 15].map(u32::from);
        let digits = frame[12..].iter().flat_map(digits);
        digits
            .filter_map(|digit| char::from_digit(digit, 16))
            .collect()
    }

    /// The expected frames were built and summed by another program.
    fn check_v4(protocol: Protocol, expected: &str) {
        assert_eq!(build(protocol, "10.0.1.2", "172.16.0.2"), expected);
    }

    fn check_v6(protocol: Protocol, expected: &str) {
        assert_eq!(build(protocol, "fd00::1:2", "fd01::2"), expected);
    }

    #[test]
    fn crc32c_has_the_check_value_of_its_definition() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn udp() {
        check_v4(
            Protocol::Udp,
            "08004500001c00004000401183bd0a000102ac10000204d20035000843c3",
        );
        check_v6(
            Protocol::Udp,
            "86dd6000000000081140fd000000000000000000000000010002\
             fd01000000000000000000000000000204d20035000800d0",
        );
    }

    #[test]
    fn tcp_syn() {
        check_v4(
            Protocol::TCP_SYN,
            "08004500002800004000400683bc0a000102ac100002\
             04d2003500000001000000005002fffff3c60000",
        );
        check_v6(
            Protocol::TCP_SYN,
            "86dd6000000000140640fd000000000000000000000000010002\
             fd01000000000000000000000000000204d2003500000001000000005002ffffb0d30000",
        );
    }

    #[test]
    fn echo_request() {
        check_v4(
            Protocol::Echo,
            "08004500001c00004000400183cd0a000102ac1000020800f32c04d20001",
        );
        check_v6(
            Protocol::Echo,
            "86dd6000000000083a40fd000000000000000000000000010002\
             fd010000000000000000000000000002800080e204d20001",
        );
    }

    #[test]
    fn sctp_init() {
        check_v4(
            Protocol::Sctp,
            "08004500003400004000408483320a000102ac10000204d2003500000000a37b4664\
             01000014000000010000ffff0001000100000001",
        );
    }

    #[test]
    fn gre() {
        check_v4(
            Protocol::Gre,
            "08004500001800004000402f83a30a000102ac10000200000800",
        );
    }
}
