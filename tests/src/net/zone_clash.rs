//! Clashes without a race: pairs of flows whose replies could not be told apart.
//!
//! A zone can count for the original direction alone. Two flows with equal
//! tuples and different such zones are then different flows, but their replies,
//! in the default zone both, are the same. The first is accepted, and conntrack
//! refuses every packet of the second when it is to be inserted, whatever the
//! protocol: `drop` and `insert_failed` grow by one each.

use anyhow::Result;

use super::{
    flood::{Flood, Sent},
    lan::Lan,
};

/// The zone of the flows that are there first.
const WINNER: u16 = 1;

/// The refusal of every packet of a flood by clashes.
#[derive(Clone, Copy, Debug)]
pub struct ZoneClash {
    /// The flood to be refused.
    pub flood: Flood,
}

impl ZoneClash {
    /// The zone, in the original direction, of the flows that lose.
    pub const LOSER: u16 = 2;

    /// Lets one packet of each flow through, then sends the flood, all of
    /// which is refused. The LAN must have no zone of its own.
    pub fn provoke(&self, lan: &Lan) -> Result<Sent> {
        set_zone(lan, WINNER)?;
        let winners = Flood {
            packets: u64::from(self.flood.flows),
            ..self.flood
        };
        winners.send(lan)?;
        set_zone(lan, Self::LOSER)?;
        let sent = self.flood.send(lan)?;
        lan.firewall.nft("delete table inet zone_clash")?;
        Ok(sent)
    }
}

/// Puts whatever comes from the client into `zone`, in the original direction.
fn set_zone(lan: &Lan, zone: u16) -> Result<()> {
    lan.firewall.nft(&format!(
        "table inet zone_clash
        delete table inet zone_clash
        table inet zone_clash {{
            chain prerouting {{
                type filter hook prerouting priority raw
                iifname lan ct original zone set {zone}
            }}
        }}"
    ))
}
