//! Tells the program at the end of `__nf_conntrack_confirm` whether it counts.

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData};

use crate::{observe::bpf::object::Object, say::clock};

/// Since when refused confirmations are counted by a program.
///
/// That program must not count a clash, which another one has counted already and left a note
/// of. What is a note of a packet on its way, and what one that nobody took, is told by its
/// time: between the moment given here and that of [`Self::count_since`], every packet must
/// have left conntrack that was on its way.
pub(crate) struct Confirmations(Array<MapData, u64>);

/// A moment, in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(clock::monotonic())
    }
}

impl Confirmations {
    /// Takes over its map.
    pub(crate) fn new(object: &mut Object) -> Result<Self> {
        let map = object.take("CONFIRMING_SINCE")?;
        Ok(Self(map.try_into().context("map CONFIRMING_SINCE")?))
    }

    /// Has the program count.
    pub(crate) fn count_since(&mut self, Moment(moment): Moment) -> Result<()> {
        self.set(moment)
    }

    /// Has it count no more.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.set(0)
    }

    fn set(&mut self, moment: u64) -> Result<()> {
        self.0
            .set(0, moment, 0)
            .context("cannot write the eBPF map CONFIRMING_SINCE")
    }
}
