//! Text in another encoding than bytes of ASCII or UTF-8 without more: UTF-16, as Windows
//! writes it, and text that is coloured for a terminal.

use std::io::{self, BufRead, BufReader, Read};

use crate::input::compression::Decoded;

/// How much is looked at to find the encoding out.
const LOOKED_AT: usize = 64 << 10;

/// What is to be done to text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// UTF-16, the lower byte first or last.
    Utf16 { little_endian: bool },
    /// With sequences of ECMA-48 that colour it or end a coloured line.
    Coloured,
}

/// The encoding of text that begins like this; none if there is nothing to do.
fn encoding(begin: &[u8]) -> Option<Encoding> {
    let zeros = |from: usize| {
        let bytes = begin.iter().skip(from).step_by(2).take(64);
        bytes.clone().count() >= 8 && bytes.clone().all(|&byte| byte == 0)
    };
    let none = |from: usize| {
        begin
            .iter()
            .skip(from)
            .step_by(2)
            .take(64)
            .all(|&byte| byte != 0)
    };
    if begin.starts_with(b"\xff\xfe") || (zeros(1) && none(0)) {
        return Some(Encoding::Utf16 {
            little_endian: true,
        });
    }
    if begin.starts_with(b"\xfe\xff") || (zeros(0) && none(1)) {
        return Some(Encoding::Utf16 {
            little_endian: false,
        });
    }
    let begin = &begin[..begin.len().min(LOOKED_AT)];
    memchr::memchr_iter(0x1b, begin)
        .any(|escape| matches!(colour(&begin[escape..]), Colour::Whole(_)))
        .then_some(Encoding::Coloured)
}

/// Text of any encoding, in UTF-8 and without colours; of a file that may have been
/// compressed.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn plain_text<R: BufRead + 'static>(file: Decoded<R>) -> io::Result<Decoded<R>> {
    match file {
        Decoded::Plain(reader) => plain(reader),
        Decoded::Decompressed(stream) => {
            let text = BufReader::with_capacity(LOOKED_AT, stream);
            Ok(Decoded::Decompressed(match plain(text) {
                Ok(Decoded::Plain(text)) => Box::new(text),
                Ok(Decoded::Decompressed(text)) => text,
                // It is not whole: whoever reads it is told.
                Err(error) => Box::new(Unreadable(Some(error))),
            }))
        }
    }
}

fn plain<R: BufRead + 'static>(mut reader: R) -> io::Result<Decoded<R>> {
    Ok(match encoding(reader.fill_buf()?) {
        None => Decoded::Plain(reader),
        Some(Encoding::Coloured) => {
            Decoded::Decompressed(Box::new(Converted::new(reader, uncolour)))
        }
        Some(Encoding::Utf16 { little_endian }) => {
            let convert = if little_endian {
                |bytes: &[u8], out: &mut Vec<u8>| from_utf16(bytes, u16::from_le_bytes, out)
            } else {
                |bytes: &[u8], out: &mut Vec<u8>| from_utf16(bytes, u16::from_be_bytes, out)
            };
            let text = BufReader::with_capacity(LOOKED_AT, Converted::new(reader, convert));
            match plain_again(text)? {
                Decoded::Plain(text) => Decoded::Decompressed(Box::new(text)),
                Decoded::Decompressed(text) => Decoded::Decompressed(text),
            }
        }
    })
}

/// Text that was UTF-16 may be coloured, too.
fn plain_again<R: BufRead + 'static>(mut reader: R) -> io::Result<Decoded<R>> {
    Ok(match encoding(reader.fill_buf()?) {
        Some(Encoding::Coloured) => {
            Decoded::Decompressed(Box::new(Converted::new(reader, uncolour)))
        }
        _ => Decoded::Plain(reader),
    })
}

/// A stream that cannot be read.
struct Unreadable(Option<io::Error>);

impl Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Converts bytes, and says how many of them: the others wait for what comes after them.
type Convert = fn(&[u8], &mut Vec<u8>) -> usize;

/// Text that is converted while it is read.
struct Converted<R> {
    source: R,
    convert: Convert,
    waiting: Vec<u8>,
    ready: io::Cursor<Vec<u8>>,
}

impl<R: BufRead> Converted<R> {
    fn new(source: R, convert: Convert) -> Self {
        Self {
            source,
            convert,
            waiting: Vec::new(),
            ready: io::Cursor::new(Vec::new()),
        }
    }

    /// Converts what can be read now; whether there was anything.
    fn refill(&mut self) -> io::Result<bool> {
        let bytes = self.source.fill_buf()?;
        let read = bytes.len();
        self.waiting.extend_from_slice(bytes);
        self.source.consume(read);
        let mut ready = std::mem::take(&mut self.ready).into_inner();
        ready.clear();
        let converted = (self.convert)(&self.waiting, &mut ready);
        self.waiting.drain(..converted);
        if read == 0 {
            // Nothing comes any more.
            ready.append(&mut self.waiting);
        }
        let any = !ready.is_empty() || read > 0;
        self.ready = io::Cursor::new(ready);
        Ok(any)
    }
}

impl<R: BufRead> Read for Converted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.ready.read(buffer)?;
            if read > 0 || buffer.is_empty() || !self.refill()? {
                return Ok(read);
            }
        }
    }
}

/// Converts UTF-16.
fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, out: &mut Vec<u8>) -> usize {
    let (units, _) = bytes.as_chunks::<2>();
    let mut units: Vec<u16> = units.iter().map(|&bytes| unit(bytes)).collect();
    if units
        .last()
        .is_some_and(|last| (0xd800..0xdc00).contains(last))
    {
        // The first half of a character.
        units.pop();
    }
    let mark = |char: &char| *char != '\u{feff}';
    let chars = char::decode_utf16(units.iter().copied())
        .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
        .filter(mark);
    let text: String = chars.collect();
    out.extend_from_slice(text.as_bytes());
    units.len() * 2
}

/// Takes colours out.
fn uncolour(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let Some(escape) = memchr::memchr(0x1b, &bytes[at..]) {
        out.extend_from_slice(&bytes[at..at + escape]);
        at += escape;
        match colour(&bytes[at..]) {
            Colour::Whole(length) => at += length,
            Colour::Cut => return at,
            Colour::None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out.extend_from_slice(&bytes[at..]);
    bytes.len()
}

/// What begins at an escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    /// A sequence of so many bytes.
    Whole(usize),
    /// The beginning of one, maybe.
    Cut,
    /// Something else.
    None,
}

/// The longest sequence.
const LONGEST: usize = 64;

/// `\x1b[1;31m` selects a colour, `\x1b[K` erases the rest of a line: dmesg, journalctl and
/// grep write these (ECMA-48, SGR and EL). Other sequences stay.
fn colour(text: &[u8]) -> Colour {
    let Some(rest) = text.strip_prefix(b"\x1b[") else {
        return if text.len() < 2 {
            Colour::Cut
        } else {
            Colour::None
        };
    };
    let parameter = |byte: &u8| byte.is_ascii_digit() || b";:".contains(byte);
    let parameters = rest
        .iter()
        .take(LONGEST)
        .take_while(|byte| parameter(byte))
        .count();
    match rest.get(parameters) {
        Some(b'm' | b'K') => Colour::Whole(2 + parameters + 1),
        None => Colour::Cut,
        Some(_) => Colour::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of bytes that come in pieces.
    fn read(bytes: &[u8], piece: usize) -> String {
        let source = BufReader::with_capacity(piece.max(64), io::Cursor::new(bytes.to_vec()));
        let mut text = Vec::new();
        match plain(source).unwrap() {
            Decoded::Plain(mut reader) => reader.read_to_end(&mut text).unwrap(),
            Decoded::Decompressed(mut reader) => reader.read_to_end(&mut text).unwrap(),
        };
        String::from_utf8(text).unwrap()
    }

    const TEXT: &str = "8月 10 17:27:03 gate kernel: 😀 nf_conntrack: table full\r\n";

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn utf_16_is_read_with_a_mark_or_without() {
        let text = TEXT.repeat(50);
        for piece in [64, 65, 67, 4096] {
            let marked = format!("\u{feff}{text}");
            assert_eq!(read(&utf16(&marked, u16::to_le_bytes), piece), text);
            assert_eq!(read(&utf16(&marked, u16::to_be_bytes), piece), text);
        }
        let latin = "Mar 12 13:40:34 gate kernel: nf_conntrack: table full\n".repeat(3);
        assert_eq!(read(&utf16(&latin, u16::to_le_bytes), 64), latin);
        assert_eq!(read(&utf16(&latin, u16::to_be_bytes), 64), latin);
        // An odd byte at the end.
        let odd = [utf16(&latin, u16::to_le_bytes), b"x".to_vec()].concat();
        assert_eq!(read(&odd, 64), format!("{latin}x"));
    }

    #[test]
    fn colours_are_taken_out_and_nothing_else() {
        let coloured = "\x1b[32m[ 1281.489259] \x1b[0m\x1b[33mnf_\x1b[01;31m\x1b[Kconntrack\x1b[m\x1b[K: x\x1b[2Jy\x1b\n";
        let plain = "[ 1281.489259] nf_conntrack: x\x1b[2Jy\x1b\n";
        for piece in [64, 65, 71, 4096] {
            assert_eq!(
                read(coloured.repeat(40).as_bytes(), piece),
                plain.repeat(40)
            );
        }
        assert_eq!(read(b"\x1b[1mx\x1b[3", 64), "x\x1b[3");
        assert_eq!(encoding(b"plain \x1b[2J"), None);
    }

    #[test]
    fn what_is_no_text_stays_as_it_is() {
        for bytes in [
            &b""[..],
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            b"\x07\0\0\0pts/0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(encoding(bytes), None, "{bytes:?}");
        }
    }
}
