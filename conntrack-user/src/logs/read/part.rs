//! One file of a log: plain or compressed.

use std::{fs::Metadata, path::Path, time::UNIX_EPOCH};

use anyhow::Result;

use crate::{
    input::file::{self, Content},
    logs::{read::COMMAND, time},
};

/// A file, opened.
pub(super) struct Part {
    /// What it holds.
    pub(super) content: Content,
    /// When it was written last, in microseconds since 1970.
    pub(super) written: i64,
    /// Its length in bytes; of a compressed one as it is on the disk.
    pub(super) length: u64,
}

impl Part {
    /// Opens a file and looks what is in it; what its name is does not matter.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let advice = "name the files in it, or use --root for a whole tree";
        let (content, metadata) = file::open(path, advice, COMMAND)?;
        Ok(Self {
            content,
            written: written(&metadata),
            length: metadata.len(),
        })
    }

    /// The bytes, if they are all in memory.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.content.bytes()
    }
}

/// When a file was written last, in microseconds since 1970.
pub(super) fn written(metadata: &Metadata) -> i64 {
    metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or_else(time::now)
}
