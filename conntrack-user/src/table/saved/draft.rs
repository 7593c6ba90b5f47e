//! What an entry has said so far, until it is known whether it is whole.

use crate::{
    say::protocol::has_ports,
    table::{
        entry::{self, Address, DCCP, Entry, SCTP, TCP},
        filter::{IPV4, IPV6},
    },
};

/// When a table was saved, in nanoseconds since 1970, for all that is told by age: a
/// saved table has ages, but not the time that they are reckoned from.
pub const SAVED: u64 = 1 << 62;

/// Which of the two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Of who began.
    Original,
    /// Of who answers.
    Reply,
}

/// An entry, as far as it has been read.
pub(super) struct Draft {
    pub(super) entry: Entry,
    /// Addresses and ports that have come: four bits of each direction.
    seen: u8,
}

const SRC: u8 = 1;
const DST: u8 = 2;
const PORTS: u8 = 4 | 8;

impl Draft {
    /// One of which nothing is known but its protocol. A flow has been answered
    /// unless it is said otherwise.
    pub(super) fn new(protocol: u8) -> Self {
        Self {
            entry: Entry {
                protocol,
                status: entry::SEEN_REPLY,
                ..Entry::default()
            },
            seen: 0,
        }
    }

    fn see(&mut self, direction: Direction, what: u8) {
        self.seen |= match direction {
            Direction::Original => what,
            Direction::Reply => what << 4,
        };
    }

    pub(super) fn source(&mut self, direction: Direction, address: Address) {
        match direction {
            Direction::Original => {
                self.entry.src = address;
                let is_v4 = address.0 >> 32 == 0xffff;
                self.entry.family = if is_v4 { IPV4 } else { IPV6 };
            }
            Direction::Reply => self.entry.reply_src = address,
        }
        self.see(direction, SRC);
    }

    pub(super) fn destination(&mut self, direction: Direction, address: Address) {
        if direction == Direction::Original {
            self.entry.dst = address;
        }
        self.see(direction, DST);
    }

    /// A source port, or what the kernel keeps in its place: an ICMP id, a GRE key.
    pub(super) fn sport(&mut self, direction: Direction, port: u16) {
        if direction == Direction::Original {
            self.entry.sport = port;
        }
        self.see(direction, 4);
    }

    /// A destination port, or a GRE key.
    pub(super) fn dport(&mut self, direction: Direction, port: u16) {
        if direction == Direction::Original {
            self.entry.dport = port;
        }
        self.see(direction, 8);
    }

    /// An ICMP type or code, shifted to where it belongs.
    pub(super) fn icmp(&mut self, direction: Direction, part: u16) {
        if direction == Direction::Original {
            self.entry.dport |= part;
        }
    }

    /// Packets of one direction.
    pub(super) fn packets(&mut self, packets: u64) {
        let before = self.entry.packets.unwrap_or(0);
        self.entry.packets = Some(before.saturating_add(packets));
    }

    /// The age in seconds, as of when the table was saved.
    pub(super) fn age(&mut self, seconds: u64) {
        self.entry.start = Some(SAVED.saturating_sub(seconds.saturating_mul(1_000_000_000)));
    }

    pub(super) fn unreplied(&mut self) {
        self.entry.status &= !entry::SEEN_REPLY;
    }

    pub(super) fn assured(&mut self) {
        self.entry.status |= entry::ASSURED;
    }

    /// A flow that a flowtable forwards. Only established ones are: whether they
    /// are assured is not shown besides
    /// (`net/netfilter/nf_conntrack_standalone.c: ct_seq_show`, 4.16 and later).
    pub(super) fn offloaded(&mut self) {
        self.entry.status |= entry::OFFLOAD | entry::ASSURED;
    }

    /// The state of that name, as the kernel and `conntrack -L` write it.
    pub(super) fn state(&mut self, name: &[u8]) {
        self.entry.state = match self.entry.protocol {
            TCP | SCTP | DCCP => entry::state_number(self.entry.protocol, name),
            _ => None,
        };
    }

    /// The entry, if it has both tuples.
    pub(super) fn finish(self) -> Option<Entry> {
        let mut each = SRC | DST;
        if has_ports(self.entry.protocol) {
            each |= PORTS;
        }
        let all = each | each << 4;
        (self.seen & all == all).then_some(self.entry)
    }
}
