//! Tables that are full, each for a cause of its own, the limit that fits them, and packets
//! that find no room.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};

use crate::{
    net::{Conntrack, Entry, Flood, Lan, Netns, Tuple},
    stage::setup,
};

/// Entries of a full table.
const ENTRIES: u32 = 1000;

/// Connections in use, or idle.
pub(super) const CONNECTIONS: u16 = 600;

/// Seconds that an established TCP connection lives without packets, by default.
pub(super) const FIVE_DAYS: u32 = 432_000;
pub(super) const DAY: u32 = 86_400;
const ESTABLISHED: u8 = 3;

const WEB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
pub(super) const LEAKING: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 66);
pub(super) const FLOODING: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Has the namespace track, for nothing else.
pub(super) const TRACK: &str = "table ip track {
    chain out { type filter hook output priority 0; ct state new accept; }
}";

/// An entry of a flow.
fn entry(protocol: u8, source: Ipv4Addr, port: u16, to: (Ipv4Addr, u16)) -> Entry {
    Entry {
        tuple: Tuple {
            protocol,
            source: IpAddr::V4(source),
            source_port: port,
            destination: IpAddr::V4(to.0),
            destination_port: to.1,
        },
        zone: 0,
        assured: false,
        timeout: 600,
        state: None,
    }
}

pub(super) fn connection(source: Ipv4Addr, port: u16, remaining: u32) -> Entry {
    Entry {
        assured: true,
        timeout: remaining,
        state: Some(ESTABLISHED),
        ..entry(6, source, port, (WEB, 443))
    }
}

fn query(source: Ipv4Addr, port: u16) -> Entry {
    entry(17, source, port, (RESOLVER, 53))
}

/// The `number`th connection in use, of 50 clients.
fn used(number: u16) -> Entry {
    let [_, client] = (number % 50 + 1).to_be_bytes();
    connection(Ipv4Addr::new(10, 0, 0, client), 2000 + number, FIVE_DAYS)
}

/// A table of [`ENTRIES`], of which the first `others` are not in use.
fn table(others: u16, other: impl Fn(u16) -> Entry) -> Vec<Entry> {
    (0..u16::try_from(ENTRIES).unwrap_or(u16::MAX))
        .map(|number| {
            if number < others {
                other(number)
            } else {
                used(number)
            }
        })
        .collect()
}

/// So few that are not assured that the table stays full if the kernel's garbage
/// collector takes them all, as it may from 95 % on (`gc_worker`).
pub(super) fn honest() -> Vec<Entry> {
    table(40, |number| {
        query(Ipv4Addr::new(10, 0, 0, 7), 3000 + number)
    })
}

pub(super) fn leak() -> Vec<Entry> {
    table(CONNECTIONS, |number| {
        connection(LEAKING, 2000 + number, DAY)
    })
}

pub(super) fn spoofed() -> Vec<Entry> {
    table(800, |number| {
        let source = FLOODING.to_bits() + u32::from(number);
        query(Ipv4Addr::from_bits(source), 53_000)
    })
}

pub(super) fn few_sources() -> Vec<Entry> {
    table(800, |number| query(FLOODING, 3000 + number))
}

/// Room for whatever is staged next.
pub(super) fn make_room(netns: &Netns) -> Result<()> {
    setup::set_conntrack("max", 100_000)?;
    Conntrack::open(netns)?.flush()
}

/// Makes these entries, and lowers the limit to their number.
pub(super) fn fill(netns: &Netns, entries: &[Entry]) -> Result<()> {
    make_room(netns)?;
    let made = Conntrack::open(netns)?.insert(entries.iter().copied())?;
    ensure!(made.refused.is_empty(), "not all were made: {made:?}");
    close(netns)
}

/// Lowers the limit to the entries that there are.
pub(super) fn close(netns: &Netns) -> Result<()> {
    let entries = u32::try_from(netns.entries()?)?;
    setup::set_conntrack("max", entries)
}

/// Acts while packets are refused in a network whose table is full, a few flows again and
/// again. On return, the kernel has judged all of them.
pub(super) fn under_load<T>(lan: &Lan, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| refuse(lan, &enough));
        let done = act();
        enough.store(true, Ordering::Relaxed);
        let load = load.join().map_err(|_| anyhow!("the load panicked"))?;
        done.and_then(|done| load.map(|()| done))
    })
}

/// Packets that are refused, until it is enough.
fn refuse(lan: &Lan, enough: &AtomicBool) -> Result<()> {
    while !enough.load(Ordering::Relaxed) {
        Flood {
            flows: 50,
            packets: 500,
            ..Flood::default()
        }
        .send(lan)?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
