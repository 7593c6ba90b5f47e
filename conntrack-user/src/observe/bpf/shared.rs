//! Maps as memory that programs and user space share.

use std::{os::fd::RawFd, slice, sync::atomic::AtomicU64};

use anyhow::{Context as _, Result};
use memmap2::{MmapOptions, MmapRaw};

/// The memory of an array map. It stays mapped after the map is closed.
#[derive(Debug)]
pub(crate) struct Shared(MmapRaw);

impl Shared {
    /// Maps the memory of a map whose values have this many words.
    pub(crate) fn new(map: RawFd, words: usize) -> Result<Self> {
        MmapOptions::new()
            .len(words * size_of::<AtomicU64>())
            .map_raw(map)
            .map(Self)
            .context("cannot map the memory of an eBPF map")
    }

    /// Its words, which programs may change at any time.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let words = self.0.len() / size_of::<AtomicU64>();
        // SAFETY: the memory begins at a page, has this length, and is mapped as long as `self`
        // lives. User space and programs change it only by whole words or their halves, in
        // instructions that are atomic to each other.
        unsafe { slice::from_raw_parts(self.0.as_ptr().cast(), words) }
    }
}
