//! Conntrack entries made and deleted through ctnetlink.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{
    netlink::{Attributes, CREATE, EXCLUSIVE, NetlinkSocket, Requests},
    netns::Netns,
    packet::{address_bytes, family},
    tuple::{Family, Tuple},
};

/// Requests in one message to the kernel.
const BATCH: usize = 256;

/// `NFNL_SUBSYS_CTNETLINK` × 256.
const SUBSYSTEM: u16 = 1 << 8;
/// `IPCTNL_MSG_CT_NEW`.
const NEW: u16 = SUBSYSTEM;
/// `IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = SUBSYSTEM | 2;

// Attributes of `enum ctattr_type`, linux/netfilter/nfnetlink_conntrack.h.
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOINFO: u16 = 4;
const TIMEOUT: u16 = 7;
const ZONE: u16 = 18;
// `enum ctattr_tuple`.
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
// `enum ctattr_ip`: source and destination, by family.
const IPV4: (u16, u16) = (1, 2);
const IPV6: (u16, u16) = (3, 4);
// `enum ctattr_l4proto`.
const PROTO_NUMBER: u16 = 1;
const PROTO_SOURCE_PORT: u16 = 2;
const PROTO_DESTINATION_PORT: u16 = 3;

// `enum ip_conntrack_status`, linux/netfilter/nf_conntrack_common.h.
const SEEN_REPLY: u32 = 1 << 1;
const ASSURED: u32 = 1 << 2;
const CONFIRMED: u32 = 1 << 3;

/// An entry to be made; the protocol must be one with ports.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its original direction.
    pub tuple: Tuple,
    /// Its zone; 0 is the default one.
    pub zone: u16,
    /// Whether it has seen traffic both ways, so that nothing may evict it.
    pub assured: bool,
    /// Seconds until it expires.
    pub timeout: u32,
    /// State of a TCP connection, `TCP_CONNTRACK_ESTABLISHED` is 3; none for
    /// other protocols.
    pub state: Option<u8>,
}

/// What became of the entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// How many were made.
    pub inserted: u64,
    /// How many were refused, by error number.
    pub refused: BTreeMap<i32, u64>,
}

impl Inserted {
    /// Adds what became of more entries.
    pub(super) fn add(&mut self, other: &Self) {
        self.inserted += other.inserted;
        for (error, count) in &other.refused {
            *self.refused.entry(*error).or_default() += count;
        }
    }
}

/// Conntrack's netlink interface in one namespace.
#[derive(Debug)]
pub struct Conntrack(NetlinkSocket);

impl Conntrack {
    /// Opens it in `netns`.
    pub fn open(netns: &Netns) -> Result<Self> {
        NetlinkSocket::open(netns).map(Self)
    }

    /// Makes the entries, in order, and counts the refusals: `ENOMEM` says
    /// that the table is full, `EEXIST` that there is such an entry,
    /// `ENOSPC` (5.15 and later) that a hash chain is too long.
    pub fn insert(&self, entries: impl IntoIterator<Item = Entry>) -> Result<Inserted> {
        let mut entries = entries.into_iter();
        let mut outcome = Inserted::default();
        loop {
            let mut requests = Requests::default();
            for entry in entries.by_ref().take(BATCH) {
                entry.request(&mut requests);
            }
            if requests.len() == 0 {
                return Ok(outcome);
            }
            let refused = self.0.carry_out(&requests)?;
            let inserted = requests.len() as u64 - refused.values().sum::<u64>();
            outcome.add(&Inserted { inserted, refused });
        }
    }

    /// Deletes the entry of `tuple` in `zone`.
    pub fn delete(&self, tuple: &Tuple, zone: u16) -> Result<()> {
        let mut requests = Requests::default();
        requests.add(DELETE, 0, (family_number(tuple.source), 0), |attributes| {
            attributes.nest(TUPLE_ORIG, |nested| put_tuple(nested, tuple));
            attributes.put(ZONE, &zone.to_be_bytes());
        });
        self.0
            .command(&requests, &format!("delete the entry {tuple}"))
    }

    /// Deletes all entries of the namespace.
    pub fn flush(&self) -> Result<()> {
        let mut requests = Requests::default();
        requests.add(DELETE, 0, (0, 0), |_| {});
        self.0.command(&requests, "flush the conntrack table")
    }
}

impl Entry {
    /// Adds the request that makes this entry. It asks for no
    /// acknowledgement, so the kernel answers only if it refuses.
    fn request(&self, requests: &mut Requests) {
        let status = if self.assured {
            CONFIRMED | SEEN_REPLY | ASSURED
        } else {
            CONFIRMED
        };
        let header = (family_number(self.tuple.source), 0);
        requests.add(NEW, CREATE | EXCLUSIVE, header, |attributes| {
            attributes
                .nest(TUPLE_ORIG, |nested| put_tuple(nested, &self.tuple))
                .nest(TUPLE_REPLY, |nested| {
                    put_tuple(nested, &self.tuple.reversed());
                })
                .put(STATUS, &status.to_be_bytes())
                .put(TIMEOUT, &self.timeout.to_be_bytes())
                .put(ZONE, &self.zone.to_be_bytes());
            if let Some(state) = self.state {
                // CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE.
                attributes.nest(PROTOINFO, |nested| {
                    nested.nest(1, |tcp| {
                        tcp.put(1, &[state]);
                    });
                });
            }
        });
    }
}

/// Writes the addresses and ports of a tuple.
fn put_tuple(attributes: &mut Attributes<'_>, tuple: &Tuple) {
    let (source, destination) = match family(tuple.source) {
        Family::V4 => IPV4,
        Family::V6 => IPV6,
    };
    attributes
        .nest(TUPLE_IP, |nested| {
            nested
                .put(source, &address_bytes(tuple.source))
                .put(destination, &address_bytes(tuple.destination));
        })
        .nest(TUPLE_PROTO, |nested| {
            nested
                .put(PROTO_NUMBER, &[tuple.protocol])
                .put(PROTO_SOURCE_PORT, &tuple.source_port.to_be_bytes())
                .put(
                    PROTO_DESTINATION_PORT,
                    &tuple.destination_port.to_be_bytes(),
                );
        });
}

/// The address family in a `struct nfgenmsg`.
fn family_number(address: IpAddr) -> u8 {
    let number = match family(address) {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    u8::try_from(number).expect("AF_INET is 2, AF_INET6 is 10")
}
