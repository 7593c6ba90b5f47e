//! Floods of received packets: an exact number of packets over an exact number
//! of flows, from the sender through the firewall.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};

use super::{
    lan::{CLIENT_MAC, LAN_MAC, Lan},
    packet::{ETHERNET, Template},
    tuple::{Family, Protocol, Tuple},
    wire::{BATCH, Wire, received, senders},
};

/// Source ports of one address, for protocols that have ports.
const PORTS: u32 = 60_000;
/// The first of them.
const FIRST_PORT: u16 = 1024;

/// The first IPv4 source; there are 8 million from here on in 10.0.0.0/8.
const FIRST_V4: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
/// The first IPv6 source.
const FIRST_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, 0);

/// Packets to be sent from the client to the server.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// What to send.
    pub protocol: Protocol,
    /// Over which IP.
    pub family: Family,
    /// Number of the first flow; see [`Self::tuple`].
    pub first_flow: u32,
    /// How many flows, from there on.
    pub flows: u32,
    /// How many packets over all flows, which take turns.
    pub packets: u64,
    /// Destination port, for protocols that have ports.
    pub destination_port: u16,
    /// Whether each flow has a source address of its own, as with forged ones.
    pub spoofed: bool,
}

/// What became of a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Packets sent.
    pub packets: u64,
    /// Packets that reached the firewall's conntrack: all of them.
    pub delivered: u64,
    /// From the first packet to the last.
    pub elapsed: Duration,
}

impl Default for Flood {
    /// One UDP packet over IPv4 to the discard port.
    fn default() -> Self {
        Self {
            protocol: Protocol::Udp,
            family: Family::V4,
            first_flow: 0,
            flows: 1,
            packets: 1,
            destination_port: 9,
            spoofed: false,
        }
    }
}

impl Flood {
    /// The tuple of flow `number`, to [`Lan::server`].
    ///
    /// With ports (or an echo identifier) the source is address 10.128.0.0 or
    /// `fd00::1:0` plus `number / 60000`, port `1024 + number % 60000`; without, or
    /// if it is spoofed, it is that address plus `number`.
    pub fn tuple(&self, number: u32) -> Tuple {
        let (source, source_port) = self.source(number);
        Tuple {
            protocol: self.protocol.number(self.family),
            source,
            source_port,
            destination: Lan::server(self.family),
            destination_port: self
                .protocol
                .destination_port(self.family, self.destination_port),
        }
    }

    /// The numbers of the flows.
    pub const fn flow_numbers(&self) -> Range<u32> {
        self.first_flow..self.first_flow + self.flows
    }

    /// How many of the packets are flow `number`'s.
    pub fn packets_of(&self, number: u32) -> u64 {
        let flows = u64::from(self.flows);
        let turn = u64::from(number - self.first_flow);
        self.packets / flows + u64::from(turn < self.packets % flows)
    }

    /// A packet of flow `number` as it is sent, from its IP header on.
    pub fn packet(&self, number: u32) -> Vec<u8> {
        let template = self.template();
        let mut frame = template.blank().to_vec();
        let (source, port) = self.source(number);
        template.patch(&mut frame, source, port);
        frame.split_off(ETHERNET)
    }

    /// Sends the packets, from as many threads as there are CPUs. On return,
    /// the firewall's conntrack has judged every one of them.
    ///
    /// One flood at a time: whatever else enters the firewall meanwhile is
    /// taken for a mistake.
    pub fn send(&self, lan: &Lan) -> Result<Sent> {
        ensure!(self.flows > 0, "a flood needs at least one flow");
        let before = received(&lan.firewall, "lan")?;
        let start = Instant::now();
        let senders = senders();
        let fences = thread::scope(|scope| {
            let threads: Vec<_> = (0..senders)
                .map(|sender| scope.spawn(move || self.send_share(lan, sender, senders)))
                .collect();
            threads.into_iter().try_fold(0, |sum, thread| {
                let fences = thread.join().map_err(|_| anyhow!("a sender panicked"))??;
                Ok::<_, anyhow::Error>(sum + u64::from(fences))
            })
        })?;
        let elapsed = start.elapsed();
        let delivered = received(&lan.firewall, "lan")? - before - fences;
        ensure!(
            delivered == self.packets,
            "{delivered} of {} packets reached the firewall; does something else send, \
             or was net.core.netdev_max_backlog lowered?",
            self.packets
        );
        Ok(Sent {
            packets: self.packets,
            delivered,
            elapsed,
        })
    }

    /// Sends every `senders`th batch, from the `sender`th on; gives the number
    /// of fences sent.
    fn send_share(&self, lan: &Lan, sender: u32, senders: u32) -> Result<u32> {
        let template = self.template();
        let mut wire = Wire::attach(lan, sender, template.blank())?;
        let step = BATCH * senders as usize;
        let first = u64::from(sender) * BATCH as u64;
        for start in (first..self.packets).step_by(step) {
            let batch = start..self.packets.min(start + BATCH as u64);
            let count = usize::try_from(batch.end - batch.start)?;
            for (packet, frame) in batch.zip(wire.frames()) {
                let (source, port) = self.source(self.flow_of(packet));
                template.patch(frame, source, port);
            }
            wire.send(count)?;
        }
        Ok(wire.sent_fences())
    }

    /// The frames of this flood.
    fn template(&self) -> Template {
        Template::new(
            CLIENT_MAC,
            LAN_MAC,
            self.protocol,
            Lan::server(self.family),
            self.destination_port,
        )
    }

    /// The flow whose turn it is with packet `packet`.
    fn flow_of(&self, packet: u64) -> u32 {
        let turn = packet % u64::from(self.flows);
        self.first_flow + u32::try_from(turn).expect("less than the number of flows")
    }

    /// Source address and port of flow `number`.
    fn source(&self, number: u32) -> (IpAddr, u16) {
        let (step, port) = if self.spoofed {
            (number, FIRST_PORT)
        } else if self.protocol.has_source_port() {
            let offset = u16::try_from(number % PORTS).expect("less than 60000");
            (number / PORTS, FIRST_PORT + offset)
        } else {
            (number, 0)
        };
        let address = match self.family {
            Family::V4 => Ipv4Addr::from_bits(FIRST_V4.to_bits() + step).into(),
            Family::V6 => Ipv6Addr::from_bits(FIRST_V6.to_bits() + u128::from(step)).into(),
        };
        (address, port)
    }
}

impl Sent {
    /// Packets per second.
    pub fn rate(&self) -> f64 {
        // Exact up to 2^53 packets.
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 packets")]
        let packets = self.packets as f64;
        packets / self.elapsed.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn flows_differ() {
        let kinds = [
            (Protocol::Udp, false),
            (Protocol::Udp, true),
            (Protocol::Gre, false),
        ];
        for (protocol, spoofed) in kinds {
            let flood = Flood {
                protocol,
                spoofed,
                first_flow: 59_000,
                flows: 70_000,
                ..Flood::default()
            };
            let tuples: HashSet<_> = flood.flow_numbers().map(|flow| flood.tuple(flow)).collect();
            assert_eq!(tuples.len(), 70_000);
        }
    }

    #[test]
    fn the_last_of_two_million_flows_has_a_valid_source() {
        let flood = Flood::default();
        let last = flood.tuple(1_999_999);
        assert_eq!(last.source, IpAddr::from([10, 128, 0, 33]));
        assert_eq!(last.source_port, 1024 + 19_999);
    }

    #[test]
    fn shares_add_up_and_follow_the_turns() {
        let flood = Flood {
            first_flow: 5,
            flows: 7,
            packets: 100,
            ..Flood::default()
        };
        let shares: Vec<_> = flood
            .flow_numbers()
            .map(|flow| flood.packets_of(flow))
            .collect();
        assert_eq!(shares, [15, 15, 14, 14, 14, 14, 14]);
        let turns: Vec<_> = (0..8).map(|packet| flood.flow_of(packet)).collect();
        assert_eq!(turns, [5, 6, 7, 8, 9, 10, 11, 5]);
    }
}
