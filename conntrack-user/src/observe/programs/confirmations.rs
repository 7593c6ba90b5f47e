//! Tells the program at the end of `__nf_conntrack_confirm` whether it counts.

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData};

use crate::{observe::bpf::object::Object, say::clock};

/// Since when a program counts refused confirmations.
///
/// The program must not count a clash: another program has counted it and left a note. A note
/// can also be old, because no program took it. The program distinguishes the two by their time.
/// So every packet that is on its way at the given moment must have left conntrack before
/// [`Self::count_since`] is called.
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

    /// Lets the program count.
    pub(crate) fn count_since(&mut self, Moment(moment): Moment) -> Result<()> {
        self.set(moment)
    }

    /// Lets the program count no more.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.set(0)
    }

    fn set(&mut self, moment: u64) -> Result<()> {
        self.0
            .set(0, moment, 0)
            .context("cannot write the eBPF map CONFIRMING_SINCE")
    }
}
