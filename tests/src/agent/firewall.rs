//! A firewall with a full table, for a host to send packets through.

use anyhow::Result;

use super::message::Table;
use crate::{
    net::{Counters, Fill, Flood, Lan, LanOptions},
    stage::setup,
};

/// The firewall, with a client and a server.
#[derive(Debug)]
pub(super) struct Firewall {
    /// The network.
    lan: Lan,
    /// Flows that it has seen.
    flows: u32,
}

impl Firewall {
    /// Makes it, with a table that is full by the limit in force. What fills it
    /// cannot be evicted.
    pub(super) fn full() -> Result<Self> {
        for module in ["nf_conntrack", "nf_conntrack_netlink"] {
            setup::modprobe(module)?;
        }
        let lan = Lan::create("agent", &LanOptions::default())?;
        Fill::default().to_the_limit(&lan.firewall)?;
        Ok(Self { lan, flows: 0 })
    }

    /// Sends one packet of each of so many new flows.
    pub(super) fn flood(&mut self, flows: u32) -> Result<()> {
        let flood = Flood {
            first_flow: self.flows,
            flows,
            packets: flows.into(),
            ..Flood::default()
        };
        self.flows += flows;
        flood.send(&self.lan).map(drop)
    }

    /// Its table.
    pub(super) fn table(&self) -> Result<Table> {
        let netns = &self.lan.firewall;
        Ok(Table {
            entries: netns.entries()?,
            max: netns.limit()?,
            refused: Counters::read(netns)?.get("drop"),
        })
    }
}
