//! Copies of refused packets: which are wanted, and where the programs leave them.

use std::mem;

use anyhow::{Context as _, Result};
use aya::maps::{MapData, PerCpuArray, RingBuf};
use conntrack_ebpf::{
    Reason,
    capture::{Budget, CaptureOrder, CapturedPacket, Omission},
};

use crate::{
    observe::{bpf::object::Object, counts::decode},
    say::reason::{ReasonName, reason_name},
};

/// How many packets of a flow are copied.
pub const PER_FLOW: u32 = 8;

/// How many packets are copied in a second.
pub const PER_SECOND: u32 = 1000;

/// What is to be copied, of refused packets.
pub fn order(netns: Option<u32>, protocol: Option<u8>, reasons: &[ReasonName]) -> CaptureOrder {
    let wanted = |reason: Reason| {
        let name = reason_name(reason);
        reason.is_drop()
            && (reasons.is_empty() || reasons.iter().any(|wanted| wanted.as_str() == name))
    };
    let reasons = Reason::ALL.into_iter().filter(|&reason| wanted(reason));
    let per_window = (u64::from(PER_SECOND) << Budget::WINDOW) / 1_000_000_000;
    CaptureOrder {
        netns: netns.unwrap_or(0),
        reasons: reasons.map(|reason| 1 << reason as u32).sum(),
        protocol: protocol.map_or(CaptureOrder::ANY_PROTOCOL, u32::from),
        per_flow: PER_FLOW,
        per_window: u32::try_from(per_window).unwrap_or(PER_SECOND),
        padding: 0,
    }
}

/// How many packets that were asked for were not copied, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omitted {
    /// They are of another protocol.
    pub other_protocol: u64,
    /// [`PER_FLOW`] packets of their flow were copied.
    pub flow_bound: u64,
    /// [`PER_SECOND`] packets of that second were copied.
    pub rate_bound: u64,
    /// There was no room between the kernel and ctdrop.
    pub no_room: u64,
    /// Their bytes could not be read.
    pub unreadable: u64,
}

impl Omitted {
    /// Adds those of other programs.
    pub const fn add(&mut self, more: &Self) {
        self.other_protocol += more.other_protocol;
        self.flow_bound += more.flow_bound;
        self.rate_bound += more.rate_bound;
        self.no_room += more.no_room;
        self.unreadable += more.unreadable;
    }
}

/// What programs that were detached have left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    packets: Vec<CapturedPacket>,
    omitted: Omitted,
}

impl Left {
    /// Keeps what is in the maps of programs that are detached.
    pub(crate) fn keep(&mut self, captures: &mut Captures) -> Result<()> {
        captures.take(&mut self.packets)?;
        self.omitted.add(&captures.omitted()?);
        Ok(())
    }

    /// Gives the packets that were kept, and forgets them.
    pub(crate) fn take(&mut self) -> Vec<CapturedPacket> {
        mem::take(&mut self.packets)
    }

    /// What was not copied.
    pub(crate) const fn omitted(&self) -> Omitted {
        self.omitted
    }
}

/// The maps that programs leave copies in.
pub(crate) struct Captures {
    ring: RingBuf<MapData>,
    omitted: PerCpuArray<MapData, u64>,
}

impl Captures {
    /// Takes over the maps of a loaded object.
    pub(crate) fn new(object: &mut Object) -> Result<Self> {
        Ok(Self {
            ring: object
                .take("CAPTURED")?
                .try_into()
                .context("map CAPTURED")?,
            omitted: object.take("OMITTED")?.try_into().context("map OMITTED")?,
        })
    }

    /// Takes out all packets that were copied, without waiting for any.
    pub(crate) fn take(&mut self, packets: &mut Vec<CapturedPacket>) -> Result<()> {
        while let Some(record) = self.ring.next() {
            packets.push(decode::decode_captured(&record)?);
        }
        Ok(())
    }

    /// What was not copied since the programs were loaded.
    pub(crate) fn omitted(&self) -> Result<Omitted> {
        let count = |omission: Omission| {
            let values = self.omitted.get(&(omission as u32), 0);
            let values = values.context("cannot read map OMITTED")?;
            anyhow::Ok(values.iter().sum())
        };
        Ok(Omitted {
            other_protocol: count(Omission::OtherProtocol)?,
            flow_bound: count(Omission::FlowBound)?,
            rate_bound: count(Omission::RateBound)?,
            no_room: count(Omission::NoRoom)?,
            unreadable: count(Omission::Unreadable)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lost_packets_are_asked_for() {
        let all = order(None, None, &[]);
        for reason in Reason::ALL {
            let is_asked_for = all.reasons >> reason as u32 & 1 != 0;
            assert_eq!(is_asked_for, reason.is_drop(), "{reason:?}");
        }
        assert_eq!(all.netns, 0);
        assert_eq!(all.protocol, CaptureOrder::ANY_PROTOCOL);
        assert_eq!(all.per_window, 67, "of 15 windows in a second");
    }

    #[test]
    fn filters_are_passed_on() {
        let names = [Reason::StaleExtension, Reason::Evicted].map(ReasonName::from);
        let order = order(Some(7), Some(0), &names);
        assert_eq!((order.netns, order.protocol), (7, 0));
        // Two reasons share the name; evictions are no packets.
        let stale = [Reason::StaleExtension, Reason::StaleExtensionLate];
        let bits: u32 = stale.map(|reason| 1 << reason as u32).iter().sum();
        assert_eq!(order.reasons, bits);
    }
}
