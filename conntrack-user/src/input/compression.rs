//! How files are compressed, told by their first bytes.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// How much memory an xz file may ask for, in KiB: `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 256 << 10;

/// How large a window a zstd file may ask for: as zstd(1) allows by default.
const ZSTD_WINDOW: u64 = 128 << 20;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

/// How a file is compressed that begins like this.
fn compression(magic: &[u8]) -> Option<Compression> {
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

/// Decompresses what is read from `reader`, if it is compressed.
///
/// # Errors
///
/// `reader` cannot be read; or it is in a format that cannot be read here
/// ([`io::ErrorKind::Unsupported`]): the error says which, and how `command` reads
/// it from another program.
pub(crate) fn decoded<R: BufRead + 'static>(
    mut reader: R,
    command: &str,
) -> io::Result<Decoded<R>> {
    let magic = reader.fill_buf()?;
    if let Some(why) = unsupported(magic, command) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    Ok(match compression(magic) {
        Some(Compression::Gzip) => stream(flate2::bufread::MultiGzDecoder::new(reader)),
        Some(Compression::Bzip2) => stream(bzip2::bufread::MultiBzDecoder::new(reader)),
        Some(Compression::Xz) => {
            stream(lzma_rust2::XzReader::new_mem_limit(reader, true, XZ_MEMORY))
        }
        Some(Compression::Zstd) => stream(Zstd::new(reader)),
        None => Decoded::Plain(reader),
    })
}

/// A file that is open, and its text.
pub(crate) enum Decoded<R> {
    /// Text as it is.
    Plain(R),
    /// Text that is decompressed while it is read.
    Decompressed(Box<dyn Read>),
}

fn stream<R>(reader: impl Read + 'static) -> Decoded<R> {
    Decoded::Decompressed(Box::new(reader))
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

/// How files begin whose text cannot be read here, what they are, and the command
/// that reads them. `FILE` stands for the file, `COMMAND` for what wants its text.
const UNSUPPORTED: [(&[u8], &str, &str); 6] = [
    (
        // src/libsystemd/sd-journal/journal-def.h: HEADER_SIGNATURE
        b"LPKSHHRH",
        "a file of the systemd journal",
        "journalctl --file=FILE -o export _TRANSPORT=kernel | ctdrop logs -",
    ),
    (
        b"\x04\x22\x4d\x18",
        "compressed by lz4",
        "lz4 -dc FILE | COMMAND",
    ),
    (
        b"\x02\x21\x4c\x18",
        "compressed by lz4",
        "lz4 -dc FILE | COMMAND",
    ),
    (b"PK\x03\x04", "a zip archive", "unzip -p FILE | COMMAND"),
    (
        b"7z\xbc\xaf\x27\x1c",
        "a 7z archive",
        "7z x -so FILE | COMMAND",
    ),
    (b"\x1f\x9d", "compressed by compress", "zcat FILE | COMMAND"),
];

/// What a file is that begins like this and cannot be read here, and what to do.
fn unsupported(magic: &[u8], command: &str) -> Option<String> {
    let (_, what, remedy) = UNSUPPORTED
        .iter()
        .find(|(begin, _, _)| magic.starts_with(begin))?;
    let remedy = remedy.replace("COMMAND", command);
    Some(format!(
        "it is {what}, which ctdrop cannot read; use: {remedy}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_another_program_reads_is_named() {
        let journal = unsupported(b"LPKSHHRH\0\0", "ctdrop logs -").unwrap();
        assert!(
            journal.contains("journalctl --file=FILE -o export"),
            "{journal}"
        );
        for (magic, name) in [
            (b"\x04\x22\x4d\x18xx".as_slice(), "lz4"),
            (b"PK\x03\x04", "zip"),
            (b"7z\xbc\xaf\x27\x1c", "7z"),
            (b"\x1f\x9d\x90", "compress"),
        ] {
            let why = unsupported(magic, "ctdrop logs -").unwrap();
            assert!(why.contains(name) && why.ends_with("FILE | ctdrop logs -"));
        }
        for magic in [
            b"Mar 12 13:40:34 gate kernel: ".as_slice(),
            b"",
            b"LPKS",
            b"__CURSOR=",
        ] {
            assert_eq!(unsupported(magic, "ctdrop logs -"), None);
        }
    }
}
