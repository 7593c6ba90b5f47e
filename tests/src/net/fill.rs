//! Filling a namespace's conntrack table.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};

use super::{
    ctnetlink::{Conntrack, Entry, Inserted},
    netns::Netns,
    tuple::Tuple,
};

/// Source ports of one filler address.
const PORTS: u32 = 60_000;

/// The first of them.
const FIRST_PORT: u32 = 1024;

/// First source of the filler: the benchmarking network of RFC 2544, which no
/// flood uses.
const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Where the filler's flows go: a documentation address (RFC 5737).
const DESTINATION: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// How to fill a table: with UDP flows that no flood has.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// Whether the entries are assured: those cannot be evicted, so that a
    /// full table refuses; else `early_drop` makes room.
    pub assured: bool,
    /// The zone of the entries; 0 is the default one.
    pub zone: u16,
    /// Seconds that the entries live.
    pub timeout: u32,
}

impl Default for Fill {
    /// Assured, in the default zone, for a day.
    fn default() -> Self {
        Self {
            assured: true,
            zone: 0,
            timeout: 86_400,
        }
    }
}

impl Fill {
    /// The `number`th entry: from address 198.18.0.1 + number / 60000 and port
    /// 1024 + number % 60000 to 192.0.2.1 port 9.
    pub fn entry(&self, number: u32) -> Entry {
        let source = Ipv4Addr::from_bits(FIRST_SOURCE.to_bits() + number / PORTS);
        let [.., high, low] = (FIRST_PORT + number % PORTS).to_be_bytes();
        Entry {
            tuple: Tuple {
                protocol: 17,
                source: IpAddr::V4(source),
                source_port: u16::from_be_bytes([high, low]),
                destination: DESTINATION,
                destination_port: 9,
            },
            zone: self.zone,
            assured: self.assured,
            timeout: self.timeout,
            state: None,
        }
    }

    /// Makes the entries `0..count`; some may be refused.
    pub fn insert(&self, netns: &Netns, count: u32) -> Result<Inserted> {
        Conntrack::open(netns)?.insert((0..count).map(|number| self.entry(number)))
    }

    /// Fills the table of `netns` exactly up to the current limit, so that
    /// the next new flow finds no room. Gives the number of entries made.
    ///
    /// The limit is one number for all namespaces; where it is writable,
    /// lower it first: every entry costs 256 bytes and some time.
    pub fn to_the_limit(&self, netns: &Netns) -> Result<u64> {
        let (limit, before) = (netns.limit()?, netns.entries()?);
        ensure!(
            limit > 0,
            "nf_conntrack_max is 0, which means no limit: set one before filling the table"
        );
        let missing = u32::try_from(limit.saturating_sub(before))?;
        let outcome = self.insert(netns, missing)?;
        let entries = netns.entries()?;
        ensure!(
            entries >= limit,
            "the table of {} holds {entries} of {limit} entries after filling it, refused: {:?}",
            netns.name(),
            outcome.refused
        );
        Ok(outcome.inserted)
    }
}
