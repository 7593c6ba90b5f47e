//! Packets in batches, of flows that are in a namespace's table or not.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    ops::Range,
};

use anyhow::{Context as _, Result, ensure};

use crate::net::Netns;

/// Packets between two looks at the clock: few, so that most batches see no
/// tick of the scheduler.
pub(super) const BATCH: u16 = 100;

/// How many of them.
pub(super) const BATCHES: u16 = 41;

/// Entries allowed in times of calm: far from pressure.
pub(super) const ROOM: u32 = 60_000;

/// Entries allowed under pressure.
pub(super) const FULL: u32 = 2_000;

/// A namespace that sends its packets nowhere, and tracks them.
pub(super) fn sender() -> Result<Netns> {
    let netns = Netns::create("bench")?;
    netns.set_sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
    netns.ip("link add out type dummy
        link set out up
        address add 172.16.0.1/24 dev out")?;
    netns.nft(
        "table inet bench {
            chain output {
                type filter hook output priority filter
                ct state { new, established } counter
            }
        }",
    )?;
    Ok(netns)
}

/// The destination ports of a batch in which each packet is a flow of its own.
pub(super) fn flows(batch: u16) -> Range<u16> {
    let first = 1024 + batch * BATCH;
    first..first + BATCH
}

/// Sends packets to these ports, which take turns; gives how many were refused.
pub(super) fn send(socket: &UdpSocket, ports: Range<u16>, packets: u16) -> Result<u64> {
    let server = IpAddr::V4(Ipv4Addr::new(172, 16, 0, 2));
    let mut refused = 0;
    for port in ports.cycle().take(packets.into()) {
        match socket.send_to(&[], SocketAddr::new(server, port)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused += 1,
            Err(error) => return Err(error).context("cannot send"),
        }
    }
    Ok(refused)
}

/// Removes every entry.
pub(super) fn empty(netns: &Netns) -> Result<()> {
    let output = netns.command("conntrack").arg("-F").output()?;
    ensure!(
        output.status.success(),
        "conntrack -F: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
