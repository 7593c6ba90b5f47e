//! Floods of packets that the firewall itself sends: in process context, where
//! a refusal comes back to the sender as `EPERM`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::{
    lan::Lan,
    netns::Netns,
    tuple::{Family, Tuple},
};

/// Packets that [`refused_locally`] sends at the most: where `early_drop` can make
/// room, not each is refused.
const ATTEMPTS: u32 = 5_000;

/// Sends packets of new flows over loopback, from ports of their own, until one is
/// refused.
pub fn refused_locally(netns: &Netns) -> Result<()> {
    netns.run(|| {
        for _ in 0..ATTEMPTS {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            match socket.send_to(b"x", (Ipv4Addr::LOCALHOST, 9)) {
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(()),
                // The answer to the packet before: nobody listens.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                sent => drop(sent?),
            }
        }
        bail!("none of {ATTEMPTS} packets was refused")
    })
}

/// Source port of the first thread.
const FIRST_SOURCE_PORT: u16 = 40_000;
/// Destination port of each thread's first flow.
const FIRST_DESTINATION_PORT: u16 = 1024;

/// UDP datagrams to be sent by sockets of a namespace, to [`Lan::server`].
#[derive(Clone, Copy, Debug)]
pub struct LocalFlood {
    /// Over which IP.
    pub family: Family,
    /// How many threads send at the same time, each from a port of its own.
    pub threads: u16,
    /// How many flows each thread has; at most 64,000.
    pub flows: u16,
    /// How many packets each thread sends over its flows, which take turns.
    pub packets: u32,
}

/// What became of a local flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalSent {
    /// Packets that the senders tried to send.
    pub packets: u64,
    /// How many of them were refused, as the senders were told.
    pub refused: u64,
    /// From the first packet to the last.
    pub elapsed: Duration,
}

impl LocalFlood {
    /// The tuple of flow `flow` of thread `thread`: from the `wan` address of
    /// [`Lan`], port `40000 + thread`, to port `1024 + flow`.
    pub fn tuple(&self, thread: u16, flow: u16) -> Tuple {
        let source = match self.family {
            Family::V4 => Ipv4Addr::new(172, 16, 0, 1).into(),
            Family::V6 => Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 1).into(),
        };
        Tuple {
            protocol: 17,
            source,
            source_port: FIRST_SOURCE_PORT + thread,
            destination: Lan::server(self.family),
            destination_port: FIRST_DESTINATION_PORT + flow,
        }
    }

    /// Sends the packets from all threads at once.
    pub fn send(&self, netns: &Netns) -> Result<LocalSent> {
        ensure!(
            (1..=64_000).contains(&self.flows),
            "a local flood needs 1 to 64000 flows a thread, not {}",
            self.flows
        );
        let sockets = netns.run(|| {
            let threads = 0..self.threads;
            threads
                .map(|thread| self.socket(thread))
                .collect::<Result<Vec<_>>>()
        })?;
        let start = Instant::now();
        let refused = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .zip(&sockets)
                .map(|(thread, socket)| scope.spawn(move || self.send_share(thread, socket)))
                .collect();
            threads.into_iter().try_fold(0, |sum, thread| {
                let refused = thread.join().map_err(|_| anyhow!("a sender panicked"))??;
                Ok::<_, anyhow::Error>(sum + refused)
            })
        })?;
        Ok(LocalSent {
            packets: u64::from(self.threads) * u64::from(self.packets),
            refused,
            elapsed: start.elapsed(),
        })
    }

    /// The socket of a thread, in the namespace of the calling thread.
    fn socket(&self, thread: u16) -> Result<UdpSocket> {
        let any: IpAddr = match self.family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let address = SocketAddr::new(any, FIRST_SOURCE_PORT + thread);
        UdpSocket::bind(address).with_context(|| format!("cannot bind a sender to {address}"))
    }

    /// Sends the packets of one thread; gives how many were refused.
    fn send_share(&self, thread: u16, socket: &UdpSocket) -> Result<u64> {
        let mut refused = 0;
        for flow in (0..self.flows).cycle().take(self.packets as usize) {
            let tuple = self.tuple(thread, flow);
            let server = SocketAddr::new(tuple.destination, tuple.destination_port);
            match socket.send_to(&[], server) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused += 1,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot send to {server}"));
                }
            }
        }
        Ok(refused)
    }
}
