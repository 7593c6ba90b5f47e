//! One file of a log: plain or compressed.

use std::{
    fs::{File, Metadata},
    io::{self, BufRead, BufReader, Read},
    path::Path,
    time::UNIX_EPOCH,
};

use anyhow::{Context as _, Result, bail};
use memmap2::Mmap;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use crate::logs::legible;

/// Files up to this size are read; larger ones are mapped. A mapped file that
/// is truncated meanwhile ends the program, so the small ones that are still
/// written, and may be rotated by copying, are not mapped.
const MAPPED: u64 = 64 << 20;

/// How much memory an xz file may ask for, in KiB: `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 256 << 10;

/// How large a window a zstd file may ask for: as zstd(1) allows by default.
const ZSTD_WINDOW: u64 = 128 << 20;

/// A file, opened.
pub struct Part {
    /// What it holds.
    pub content: Content,
    /// When it was written last, in microseconds since 1970.
    pub written: i64,
    /// Its length in bytes; of a compressed one as it is on the disk.
    pub length: u64,
}

/// What a file holds.
pub enum Content {
    /// All of it, in memory.
    Mapped(Mmap),
    /// All of it, in memory.
    Read(Vec<u8>),
    /// Decompressed while it is read.
    Stream(Box<dyn Read>),
}

impl Part {
    /// Opens a file and looks what is in it; what its name is does not matter.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = || crate::say::text::plain(&path.display().to_string());
        let file = File::open(path).with_context(|| format!("cannot open {}", shown()))?;
        let metadata = file
            .metadata()
            .with_context(|| format!("cannot look at {}", shown()))?;
        if metadata.is_dir() {
            bail!(
                "{} is a directory: give the files in it, or --root for a whole tree",
                shown()
            );
        }
        let written = written(&metadata);
        let length = metadata.len();
        let mut reader = BufReader::with_capacity(64 << 10, file);
        let magic = reader
            .fill_buf()
            .with_context(|| format!("cannot read {}", shown()))?;
        if let Some(why) = legible::foreign(magic) {
            bail!("cannot read {}: {}", shown(), why.replace("FILE", &shown()));
        }
        let content = match decompress(magic) {
            Some(Compression::Gzip) => stream(flate2::bufread::MultiGzDecoder::new(reader)),
            Some(Compression::Bzip2) => stream(bzip2::bufread::MultiBzDecoder::new(reader)),
            Some(Compression::Xz) => {
                stream(lzma_rust2::XzReader::new_mem_limit(reader, true, XZ_MEMORY))
            }
            Some(Compression::Zstd) => stream(Zstd::new(reader)),
            None if !metadata.is_file() => stream(reader),
            None if length > MAPPED => {
                let file = reader.into_inner();
                // SAFETY: nobody but the kernel sees the mapping, and bytes that
                // another process changes in the file are only ever looked at as
                // bytes, each once for each decision.
                let map = unsafe { Mmap::map(&file) }
                    .with_context(|| format!("cannot map {}", shown()))?;
                Content::Mapped(map)
            }
            None => {
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
    pub fn bytes(&self) -> Option<&[u8]> {
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
        .unwrap_or_else(super::now)
}

fn stream(reader: impl Read + 'static) -> Content {
    Content::Stream(Box::new(reader))
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

/// Tells it by what a file begins with.
fn decompress(magic: &[u8]) -> Option<Compression> {
    const KNOWN: [(&[u8], Compression); 4] = [
        (b"\x1f\x8b", Compression::Gzip),
        (b"BZh", Compression::Bzip2),
        (b"\xfd7zXZ\0", Compression::Xz),
        (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    ];
    KNOWN
        .iter()
        .find(|(begin, _)| magic.starts_with(begin))
        .map(|&(_, compression)| compression)
}

/// Decompresses standard input, or whatever else cannot be looked at twice.
pub fn decompressed(reader: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut reader = BufReader::with_capacity(64 << 10, reader);
    let magic = reader.fill_buf()?;
    if let Some(why) = legible::foreign(magic) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let compression = decompress(magic);
    Ok(match compression {
        Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        Some(Compression::Bzip2) => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
        Some(Compression::Xz) => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(reader, true, XZ_MEMORY))
        }
        Some(Compression::Zstd) => Box::new(Zstd::new(reader)),
        None => Box::new(reader),
    })
}

/// Every frame of a zstd file, one after the other.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW);
        Self {
            source,
            decoder,
            in_frame: false,
        }
    }

    /// Begins the next frame; there may be none.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(
                        &mut (&mut self.source).take(u64::from(length)),
                        &mut io::sink(),
                    )?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.in_frame && self.decoder.is_finished() && self.decoder.can_collect() == 0 {
                self.in_frame = false;
            }
            if !self.in_frame && !self.next_frame()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
        }
    }
}
