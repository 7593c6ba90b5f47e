//! A file, opened: plain or compressed.

use std::{
    fs::{self, Metadata},
    io::{self, BufReader, Read},
    path::Path,
};

use anyhow::{Context as _, Result, anyhow, bail};
use memmap2::{Mmap, UncheckedAdvice};

use crate::{
    input::{
        compression::{Decoded, decoded},
        encoding,
    },
    say::text::plain,
};

/// Files up to this size are read; larger ones are mapped. A mapped file that
/// is truncated meanwhile ends the program, so the small ones that are still
/// written, and may be rotated by copying, are not mapped.
const MAPPED: u64 = 64 << 20;

/// What a file holds.
pub enum Content {
    /// All of it, in memory.
    Mapped(Mmap),
    /// All of it, in memory.
    Read(Vec<u8>),
    /// Decompressed while it is read.
    Stream(Box<dyn Read>),
}

/// Opens a file and looks what is in it; what its name is does not matter.
/// `directory` is the advice if it is one; `command` reads what another program
/// decompresses.
pub fn open(path: &Path, directory: &str, command: &str) -> Result<(Content, Metadata)> {
    let shown = || plain(&path.display().to_string());
    let file = fs::File::open(path).with_context(|| format!("cannot open {}", shown()))?;
    let metadata = file
        .metadata()
        .with_context(|| format!("cannot read the attributes of {}", shown()))?;
    if metadata.is_dir() {
        bail!("{} is a directory: {directory}", shown());
    }
    let length = metadata.len();
    let reader = BufReader::with_capacity(64 << 10, file);
    let decoded = decoded(reader, command).map_err(|error| match error.kind() {
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
            let map =
                unsafe { Mmap::map(&file) }.with_context(|| format!("cannot map {}", shown()))?;
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
    Ok((content, metadata))
}

/// The text of standard input, decompressed.
///
/// # Errors
///
/// It cannot be read, or is in a format that only another program reads.
pub fn standard_input(command: &str) -> io::Result<Box<dyn Read>> {
    let stdin = BufReader::with_capacity(64 << 10, io::stdin());
    Ok(
        match decoded(stdin, command).and_then(encoding::plain_text)? {
            Decoded::Decompressed(stream) => stream,
            Decoded::Plain(reader) => Box::new(reader),
        },
    )
}

impl Content {
    /// The bytes, if they are all in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Mapped(map) => Some(map),
            Self::Read(bytes) => Some(bytes),
            Self::Stream(_) => None,
        }
    }
}

/// Gives back the memory of a part that has been searched.
pub fn release(map: &Mmap, from: usize, to: usize) {
    // SAFETY: the mapping is of a file and read-only; what is looked at again is
    // read from the file again.
    let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, to - from) };
}
