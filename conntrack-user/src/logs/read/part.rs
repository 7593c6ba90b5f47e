//! One file of a log: plain or compressed.

use std::{
    fs::{File, Metadata},
    io::{self, BufReader, Read},
    path::Path,
    time::UNIX_EPOCH,
};

use anyhow::{Context as _, Result, anyhow, bail};
use memmap2::Mmap;

use crate::{
    logs::{
        read::{
            compression::{Decoded, decoded},
            encoding,
        },
        time,
    },
    say::text::plain,
};

/// Files up to this size are read; larger ones are mapped. A mapped file that
/// is truncated meanwhile ends the program, so the small ones that are still
/// written, and may be rotated by copying, are not mapped.
const MAPPED: u64 = 64 << 20;

/// A file, opened.
pub(super) struct Part {
    /// What it holds.
    pub(super) content: Content,
    /// When it was written last, in microseconds since 1970.
    pub(super) written: i64,
    /// Its length in bytes; of a compressed one as it is on the disk.
    pub(super) length: u64,
}

/// What a file holds.
pub(super) enum Content {
    /// All of it, in memory.
    Mapped(Mmap),
    /// All of it, in memory.
    Read(Vec<u8>),
    /// Decompressed while it is read.
    Stream(Box<dyn Read>),
}

impl Part {
    /// Opens a file and looks what is in it; what its name is does not matter.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let shown = || plain(&path.display().to_string());
        let file = File::open(path).with_context(|| format!("cannot open {}", shown()))?;
        let metadata = file
            .metadata()
            .with_context(|| format!("cannot read the attributes of {}", shown()))?;
        if metadata.is_dir() {
            bail!(
                "{} is a directory: name the files in it, or use --root for a whole tree",
                shown()
            );
        }
        let written = written(&metadata);
        let length = metadata.len();
        let reader = BufReader::with_capacity(64 << 10, file);
        let decoded = decoded(reader).map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported => {
                anyhow!(
                    "cannot read {}: {}",
                    shown(),
                    error.to_string().replace("FILE", &shown())
                )
            }
            _ => anyhow::Error::new(error).context(format!("cannot read {}", shown())),
        })?;
        let decoded =
            encoding::plain_text(decoded).with_context(|| format!("cannot read {}", shown()))?;
        let content = match decoded {
            Decoded::Decompressed(stream) => Content::Stream(stream),
            Decoded::Plain(reader) if !metadata.is_file() => Content::Stream(Box::new(reader)),
            Decoded::Plain(reader) if length > MAPPED => {
                let file = reader.into_inner();
                // SAFETY: nobody but the kernel sees the mapping, and bytes that
                // another process changes in the file are only ever looked at as
                // bytes, each once for each decision.
                let map = unsafe { Mmap::map(&file) }
                    .with_context(|| format!("cannot map {}", shown()))?;
                Content::Mapped(map)
            }
            Decoded::Plain(reader) => {
                let mut bytes = Vec::new();
                reader
                    .take(MAPPED)
                    .read_to_end(&mut bytes)
                    .with_context(|| format!("cannot read {}", shown()))?;
                Content::Read(bytes)
            }
        };
        Ok(Self {
            content,
            written,
            length,
        })
    }

    /// The bytes, if they are all in memory.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Mapped(map) => Some(map),
            Content::Read(bytes) => Some(bytes),
            Content::Stream(_) => None,
        }
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
