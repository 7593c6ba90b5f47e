//! The messages of a ctnetlink dump: netlink headers, attributes, entries.
//!
//! Nothing is copied but the values that are wanted, and nothing is trusted: a
//! length that does not fit makes a message unreadable, which is counted.

use crate::table::entry::{Address, Entry};

/// Bytes of `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// Bytes of `struct nfgenmsg`.
const FAMILY_HEADER: usize = 4;
/// `NFNL_SUBSYS_CTNETLINK` × 256 + `IPCTNL_MSG_CT_NEW`: what entries come as.
pub const CT_NEW: u16 = 1 << 8;
/// `NLM_F_DUMP_INTR`, linux/netlink.h: the table has changed under the dump.
const DUMP_INTR: u16 = 0x10;
/// `NLA_TYPE_MASK`: what is left of an attribute's type without its flags.
const TYPE_MASK: u16 = 0x3fff;

// `enum ctattr_type`, linux/netfilter/nfnetlink_conntrack.h.
pub(crate) const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOINFO: u16 = 4;
const TIMEOUT: u16 = 7;
pub(crate) const MARK: u16 = 8;
pub(crate) const ZONE: u16 = 18;
const COUNTERS_ORIG: u16 = 9;
const COUNTERS_REPLY: u16 = 10;
const TIMESTAMP: u16 = 20;
pub(crate) const MARK_MASK: u16 = 21;
pub(crate) const FILTER: u16 = 25;
// `enum ctattr_tuple`.
pub(crate) const TUPLE_IP: u16 = 1;
pub(crate) const TUPLE_PROTO: u16 = 2;
const TUPLE_ZONE: u16 = 3;
// `enum ctattr_ip`.
pub(crate) const V4_SRC: u16 = 1;
pub(crate) const V4_DST: u16 = 2;
pub(super) const V6_SRC: u16 = 3;
pub(super) const V6_DST: u16 = 4;
// `enum ctattr_l4proto`.
pub(crate) const PROTO_NUM: u16 = 1;
pub(super) const SRC_PORT: u16 = 2;
pub(super) const DST_PORT: u16 = 3;
const ICMP_ID: u16 = 4;
const ICMP_TYPE: u16 = 5;
const ICMP_CODE: u16 = 6;
const ICMPV6_ID: u16 = 7;
const ICMPV6_TYPE: u16 = 8;
const ICMPV6_CODE: u16 = 9;
/// `CTA_PROTOINFO_TCP_STATE`, and the same of DCCP and SCTP.
const PROTO_STATE: u16 = 1;
/// `CTA_COUNTERS_PACKETS`.
const PACKETS: u16 = 1;
/// `CTA_TIMESTAMP_START`.
const START: u16 = 1;

/// A message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// An entry: what follows the netlink header.
    Entry(&'a [u8]),
    /// The end of the dump, with the error that ended it; 0 if none did.
    Done(i32),
    /// The request was refused, with this error number; 0 only acknowledges.
    Error(i32),
    /// The kernel says that messages were lost.
    Overrun,
    /// Of a kind that a dump does not have.
    Other,
    /// Its length is not possible; what follows it cannot be read.
    Broken,
}

/// The messages of a datagram, each with whether the kernel says that the
/// table changed under the dump in a way that it may have missed entries.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = (Message<'_>, bool)> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((header, length)) = header(rest) else {
            rest = &[];
            return Some((Message::Broken, false));
        };
        let payload = &rest[HEADER..length];
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let flags = u16::from_ne_bytes([header[6], header[7]]);
        Some((message(kind, payload), flags & DUMP_INTR != 0))
    })
}

/// Whether a datagram is the last of a dump: it has the end, or an error.
pub fn ends(datagram: &[u8]) -> bool {
    messages(datagram).any(|(message, _)| {
        matches!(message, Message::Done(_))
            || matches!(message, Message::Error(error) if error != 0)
    })
}

/// The header of the first message, and the length of that message.
fn header(datagram: &[u8]) -> Option<(&[u8; HEADER], usize)> {
    let header = datagram.first_chunk::<HEADER>()?;
    let length = u32::from_ne_bytes(*header.first_chunk()?) as usize;
    (HEADER..=datagram.len())
        .contains(&length)
        .then_some((header, length))
}

fn message(kind: u16, payload: &[u8]) -> Message<'_> {
    // The kernel has them negative.
    let number = || {
        payload
            .first_chunk()
            .map_or(0, |bytes| i32::from_ne_bytes(*bytes).saturating_neg())
    };
    match i32::from(kind) {
        libc::NLMSG_ERROR => Message::Error(number()),
        libc::NLMSG_DONE => Message::Done(number()),
        libc::NLMSG_OVERRUN => Message::Overrun,
        _ if kind == CT_NEW => Message::Entry(payload),
        _ => Message::Other,
    }
}

/// Reads an entry: a `struct nfgenmsg` and attributes. `None`: it has no
/// original tuple, or a length in it is not possible.
pub fn entry(payload: &[u8]) -> Option<Entry> {
    let mut entry = Entry {
        family: *payload.first()?,
        ..Entry::default()
    };
    let mut complete = false;
    each(payload.get(FAMILY_HEADER..)?, |kind, value| {
        match kind {
            TUPLE_ORIG => {
                original(value, &mut entry)?;
                complete = true;
            }
            TUPLE_REPLY => reply(value, &mut entry)?,
            STATUS => entry.status = be32(value)?,
            PROTOINFO => state(value, &mut entry)?,
            TIMEOUT => entry.timeout = Some(be32(value)?),
            MARK => entry.mark = be32(value)?,
            ZONE => entry.zone = be16(value)?,
            COUNTERS_ORIG | COUNTERS_REPLY => packets(value, &mut entry)?,
            TIMESTAMP => each(value, |kind, value| {
                if kind == START {
                    entry.start = Some(u64::from_be_bytes(value.try_into().ok()?));
                }
                Some(())
            })?,
            _ => {}
        }
        Some(())
    })?;
    complete.then_some(entry)
}

/// The tuple of the original direction.
fn original(nest: &[u8], entry: &mut Entry) -> Option<()> {
    each(nest, |kind, value| {
        match kind {
            TUPLE_IP => (entry.src, entry.dst) = addresses(value)?,
            TUPLE_PROTO => ports(value, entry)?,
            TUPLE_ZONE => entry.zone = be16(value)?,
            _ => {}
        }
        Some(())
    })
}

/// The source of the reply direction.
fn reply(nest: &[u8], entry: &mut Entry) -> Option<()> {
    each(nest, |kind, value| {
        if kind == TUPLE_IP {
            (entry.reply_src, _) = addresses(value)?;
        }
        Some(())
    })
}

/// Packets of one direction.
fn packets(nest: &[u8], entry: &mut Entry) -> Option<()> {
    each(nest, |kind, value| {
        if kind == PACKETS {
            let packets = u64::from_be_bytes(value.try_into().ok()?);
            entry.packets = Some(entry.packets.unwrap_or(0).saturating_add(packets));
        }
        Some(())
    })
}

fn addresses(nest: &[u8]) -> Option<(Address, Address)> {
    let (mut src, mut dst) = (None, None);
    each(nest, |kind, value| {
        match kind {
            V4_SRC => src = Some(Address::v4(value.try_into().ok()?)),
            V4_DST => dst = Some(Address::v4(value.try_into().ok()?)),
            V6_SRC => src = Some(Address::v6(value.try_into().ok()?)),
            V6_DST => dst = Some(Address::v6(value.try_into().ok()?)),
            _ => {}
        }
        Some(())
    })?;
    src.zip(dst)
}

fn ports(nest: &[u8], entry: &mut Entry) -> Option<()> {
    each(nest, |kind, value| {
        match kind {
            PROTO_NUM => entry.protocol = *value.first()?,
            SRC_PORT | ICMP_ID | ICMPV6_ID => entry.sport = be16(value)?,
            DST_PORT => entry.dport = be16(value)?,
            ICMP_TYPE | ICMPV6_TYPE => entry.dport |= u16::from(*value.first()?) << 8,
            ICMP_CODE | ICMPV6_CODE => entry.dport |= u16::from(*value.first()?),
            _ => {}
        }
        Some(())
    })
}

/// The state, one level down: `CTA_PROTOINFO_TCP`, `_DCCP` or `_SCTP`.
fn state(nest: &[u8], entry: &mut Entry) -> Option<()> {
    each(nest, |_, value| {
        each(value, |kind, value| {
            if kind == PROTO_STATE {
                entry.state = Some(*value.first()?);
            }
            Some(())
        })
    })
}

/// Calls `visit` with type and value of each attribute, until it gives `None`
/// or a length is not possible.
fn each<'a>(
    mut attributes: &'a [u8],
    mut visit: impl FnMut(u16, &'a [u8]) -> Option<()>,
) -> Option<()> {
    while let [l0, l1, k0, k1, ..] = *attributes {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = attributes.get(4..length)?;
        visit(u16::from_ne_bytes([k0, k1]) & TYPE_MASK, value)?;
        attributes = attributes
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    attributes.is_empty().then_some(())
}

fn be16(value: &[u8]) -> Option<u16> {
    value.try_into().ok().map(u16::from_be_bytes)
}

fn be32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Attributes of types that matter here, nested at random, each with its
    /// right length.
    fn attributes() -> impl Strategy<Value = Vec<u8>> {
        let leaf = vec(any::<u8>(), 0..20).boxed();
        leaf.prop_recursive(3, 24, 5, |inner| {
            vec((0_u16..28, inner), 0..5).prop_map(|list| {
                let mut bytes = Vec::new();
                for (kind, value) in list {
                    let length = u16::try_from(value.len() + 4).unwrap();
                    bytes.extend(length.to_ne_bytes());
                    bytes.extend(kind.to_ne_bytes());
                    bytes.extend(value);
                    bytes.resize(bytes.len().next_multiple_of(4), 0);
                }
                bytes
            })
        })
    }

    fn put(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 4).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// As `ctnetlink_fill_info` writes it.
    fn write(entry: &Entry) -> Vec<u8> {
        let v4 = u32::try_from(entry.src.0 & 0xffff_ffff).unwrap();
        let v4_dst = u32::try_from(entry.dst.0 & 0xffff_ffff).unwrap();
        let tuple = |src: u32, dst: u32, sport: u16, dport: u16| {
            let ip = [put(1, &src.to_be_bytes()), put(2, &dst.to_be_bytes())].concat();
            let ports = [
                put(1, &[entry.protocol]),
                put(2, &sport.to_be_bytes()),
                put(3, &dport.to_be_bytes()),
            ];
            [put(0x8001, &ip), put(0x8002, &ports.concat())].concat()
        };
        let start = put(1, &entry.start.unwrap().to_be_bytes());
        let state = put(0x8001, &put(1, &[entry.state.unwrap()]));
        [
            vec![entry.family, 0, 0, 0],
            put(0x8001, &tuple(v4, v4_dst, entry.sport, entry.dport)),
            put(0x8002, &tuple(v4_dst, v4, entry.dport, entry.sport)),
            put(3, &entry.status.to_be_bytes()),
            put(7, &entry.timeout.unwrap().to_be_bytes()),
            put(0x8004, &state),
            put(0x8014, &start),
            put(8, &entry.mark.to_be_bytes()),
            put(18, &entry.zone.to_be_bytes()),
            put(0x8009, &put(1, &(entry.packets.unwrap() - 1).to_be_bytes())),
            put(0x800a, &put(1, &1_u64.to_be_bytes())),
            put(12, &[1, 2, 3, 4]),
        ]
        .concat()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            (src, dst, sport, dport) in any::<([u8; 4], [u8; 4], u16, u16)>(),
            (zone, mark, status, timeout) in any::<(u16, u32, u32, u32)>(),
            (protocol, state, start) in any::<(u8, u8, u64)>(),
            packets in 1..u64::MAX,
        ) {
            let expected = Entry {
                family: 2,
                protocol,
                src: Address::v4(src),
                dst: Address::v4(dst),
                sport,
                dport,
                reply_src: Address::v4(dst),
                zone,
                mark,
                status,
                timeout: Some(timeout),
                state: Some(state),
                start: Some(start),
                packets: Some(packets),
            };
            prop_assert_eq!(entry(&write(&expected)), Some(expected));
        }

        #[test]
        fn a_cut_entry_never_reads_as_another(at in 0_usize..200) {
            let whole = Entry {
                family: 2,
                protocol: 6,
                reply_src: Address::v4([0; 4]),
                src: Address::v4([0; 4]),
                dst: Address::v4([0; 4]),
                timeout: Some(1),
                state: Some(3),
                start: Some(1),
                packets: Some(1),
                ..Entry::default()
            };
            let bytes = write(&whole);
            prop_assume!(at < bytes.len());
            // Only the end of an attribute is a possible end.
            if let Some(read) = entry(&bytes[..at]) {
                prop_assert_eq!(read.src, whole.src);
                prop_assert_eq!(read.protocol, whole.protocol);
            }
        }

        #[test]
        fn whatever_comes_is_read_to_its_end(bytes in vec(any::<u8>(), 0..200)) {
            let read = messages(&bytes).count();
            prop_assert!(read <= bytes.len() / HEADER + 1);
            entry(&bytes);
        }

        #[test]
        fn whatever_is_nested_does_not_upset_it(nested in attributes()) {
            entry(&[vec![10, 0, 0, 0], nested].concat());
        }
    }

    #[test]
    fn messages_are_told_apart() {
        let message = |kind: u16, payload: &[u8]| {
            let length = u32::try_from(HEADER + payload.len()).unwrap();
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(payload);
            bytes
        };
        let datagram = [
            message(CT_NEW, &[2, 0, 0, 0]),
            message(2, &(-1_i32).to_ne_bytes()),
            message(3, &[0; 4]),
            message(4, &[]),
            message(99, &[]),
            vec![1, 0, 0],
        ];
        let read: Vec<_> = datagram.iter().flat_map(|it| messages(it)).collect();
        let expected = [
            Message::Entry(&[2, 0, 0, 0]),
            Message::Error(1),
            Message::Done(0),
            Message::Overrun,
            Message::Other,
            Message::Broken,
        ];
        assert_eq!(read, expected.map(|message| (message, false)));
        assert!(!ends(&datagram[0]) && ends(&datagram[1]) && ends(&datagram[2]));
    }
}
