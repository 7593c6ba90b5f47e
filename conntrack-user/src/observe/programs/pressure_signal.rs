//! Waits for the programs to signal pressure.

use std::os::fd::{AsRawFd, RawFd};

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData, RingBuf};
use tokio::io::{Interest, unix::AsyncFd};

use crate::observe::bpf::object::Object;

/// A ring buffer that programs write to once after each [`PressureSignal::request`].
pub(crate) struct PressureSignal {
    requested: Array<MapData, u32>,
    signals: AsyncFd<Ring>,
}

/// The ring buffer as a descriptor that can be waited for.
struct Ring(RingBuf<MapData>);

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl PressureSignal {
    /// Takes over its maps.
    pub(crate) fn new(object: &mut Object) -> Result<Self> {
        let buffer: RingBuf<MapData> = object
            .take("PRESSURE")?
            .try_into()
            .context("map PRESSURE")?;
        // SAFETY: the ring owns its descriptor, and is owned by the `AsyncFd`.
        let signals = unsafe { AsyncFd::register_with_interest(Ring(buffer), Interest::READABLE) }
            .context("cannot wait for the eBPF map PRESSURE")?;
        Ok(Self {
            requested: object
                .take("WAKE_REQUEST")?
                .try_into()
                .context("map WAKE_REQUEST")?,
            signals,
        })
    }

    /// Asks to be woken by the next sign of pressure.
    pub(crate) fn request(&mut self) -> Result<()> {
        self.requested
            .set(0, 1, 0)
            .context("cannot write the eBPF map WAKE_REQUEST")
    }

    /// Ends when the programs have signalled.
    pub(crate) async fn received(&mut self) -> Result<()> {
        let mut ready = self
            .signals
            .readable_mut()
            .await
            .context("cannot wait for the eBPF map PRESSURE")?;
        while ready.get_inner_mut().0.next().is_some() {}
        ready.clear_ready();
        Ok(())
    }
}
