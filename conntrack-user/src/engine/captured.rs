//! Copies of refused packets, as they come out of the programs.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use conntrack_ebpf::capture::CapturedPacket;

use crate::{
    kernel::netns::Namespaces,
    say::{clock::Clock, reason::reason_text},
};

/// How many packets wait for a reader that is late: some 16 MiB.
const WAITING: usize = 65_536;

/// The first bytes of refused packets.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    /// The packets, about in the order in which they were refused.
    pub packets: Vec<Packet>,
    /// How many more were copied and then dropped, because too many waited.
    pub given_up: u64,
}

/// The first bytes of a refused packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When it was refused.
    pub at: SystemTime,
    /// Inode of its network namespace.
    pub netns: u32,
    /// The name of that namespace.
    pub netns_name: Arc<str>,
    /// Name of the reason.
    pub reason: String,
    /// Its number among the refused packets of its flow, from 1 on.
    pub number: u64,
    /// How many bytes it has from its network header on.
    pub length: u32,
    /// The first of them.
    pub bytes: Vec<u8>,
}

impl Captured {
    /// These packets, with the names that their namespaces have now.
    pub(super) fn of(packets: &[CapturedPacket], namespaces: &Namespaces, clock: Clock) -> Self {
        let mut names = BTreeMap::new();
        let packets = packets.iter().map(|packet| {
            let name = names
                .entry(packet.netns)
                .or_insert_with(|| Arc::<str>::from(namespaces.name_of(packet.netns)));
            Packet::of(packet, name, clock)
        });
        Self {
            packets: packets.collect(),
            given_up: 0,
        }
    }

    /// These packets and later ones, as many as may wait.
    pub(super) fn merged(&self, later: &Self) -> Self {
        let mut merged = self.clone();
        let room = WAITING.saturating_sub(merged.packets.len());
        let taken = room.min(later.packets.len());
        merged.packets.extend_from_slice(&later.packets[..taken]);
        merged.given_up += later.given_up + (later.packets.len() - taken) as u64;
        merged
    }
}

impl Packet {
    fn of(packet: &CapturedPacket, netns_name: &Arc<str>, clock: Clock) -> Self {
        let length = packet.length.min(packet.linear) as usize;
        Self {
            at: clock.time(packet.at),
            netns: packet.netns,
            netns_name: Arc::clone(netns_name),
            reason: reason_text(packet.reason),
            number: packet.number,
            length: packet.length,
            // The programs may have read bytes behind the packet.
            bytes: packet.bytes[..length.min(packet.bytes.len())].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use conntrack_ebpf::{Reason, capture::SNAP_LENGTH};

    use super::*;

    fn captured(length: u32, linear: u32) -> CapturedPacket {
        CapturedPacket {
            at: 5,
            number: 2,
            netns: 7,
            reason: Reason::Clash as u32,
            length,
            linear,
            bytes: [9; SNAP_LENGTH],
        }
    }

    fn of(packets: &[CapturedPacket]) -> Captured {
        let namespaces = Namespaces {
            list: Vec::new(),
            hidden: Vec::new(),
            contained: false,
            warnings: Vec::new(),
            is_whole: true,
        };
        let clock = Clock::at(SystemTime::UNIX_EPOCH, 0);
        Captured::of(packets, &namespaces, clock)
    }

    #[test]
    fn a_packet_has_no_byte_that_is_not_its_own() {
        let lengths = [(28, 28), (1500, 1500), (1500, 40), (20, 300), (90_000, 0)];
        let taken = of(&lengths.map(|(length, linear)| captured(length, linear)));
        let bytes: Vec<_> = taken.packets.iter().map(|it| it.bytes.len()).collect();
        assert_eq!(bytes, [28, 128, 40, 20, 0]);
        let lengths: Vec<_> = taken.packets.iter().map(|it| it.length).collect();
        assert_eq!(lengths, [28, 1500, 1500, 20, 90_000]);
        let first = &taken.packets[0];
        assert_eq!((&*first.netns_name, &*first.reason), ("net:[7]", "clash"));
        assert_eq!(
            first
                .at
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_nanos(),
            5
        );
    }

    #[test]
    fn what_waits_has_a_bound_and_the_rest_is_counted() {
        let many = of(&vec![captured(28, 28); WAITING / 2 + 1]);
        let both = many.merged(&many);
        assert_eq!((both.packets.len(), both.given_up), (WAITING, 2));
        let all = both.merged(&many);
        assert_eq!(all.packets.len(), WAITING);
        assert_eq!(all.given_up, 2 + WAITING as u64 / 2 + 1);
    }
}
