//! Whether what is read is a log at all: text, and in a form that is known.

use std::ops::AddAssign;

/// How files begin that hold no text but could, what they are, and what makes
/// text of them. `FILE` stands for the file.
const FOREIGN: [(&[u8], &str, &str); 6] = [
    (
        // src/libsystemd/sd-journal/journal-def.h: HEADER_SIGNATURE
        b"LPKSHHRH",
        "a file of the systemd journal",
        "journalctl --file=FILE -o export _TRANSPORT=kernel | ctdrop logs -",
    ),
    (
        b"\x04\x22\x4d\x18",
        "compressed by lz4",
        "lz4 -dc FILE | ctdrop logs -",
    ),
    (
        b"\x02\x21\x4c\x18",
        "compressed by lz4",
        "lz4 -dc FILE | ctdrop logs -",
    ),
    (
        b"PK\x03\x04",
        "a zip archive",
        "unzip -p FILE | ctdrop logs -",
    ),
    (
        b"7z\xbc\xaf\x27\x1c",
        "a 7z archive",
        "7z x -so FILE | ctdrop logs -",
    ),
    (
        b"\x1f\x9d",
        "compressed by compress",
        "zcat FILE | ctdrop logs -",
    ),
];

/// Says what a file is, and what to do, that begins so and cannot be read.
pub fn foreign(magic: &[u8]) -> Option<String> {
    let (_, what, remedy) = FOREIGN
        .iter()
        .find(|(begin, _, _)| magic.starts_with(begin))?;
    Some(format!("it is {what}, which is not read here: {remedy}"))
}

/// Places of a block that are looked at.
const PLACES: usize = 16;

/// Bytes of each place.
const LOOKED_AT: usize = 64;

/// Where less than one byte in so many is text, chance has made it.
const CHANCE: u64 = 16;

/// Bytes of some lines: of those that are text, and of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Legible {
    /// In lines of text.
    pub text: u64,
    /// In others.
    pub other: u64,
    /// Whether there was a line that is searched for.
    pub found: bool,
}

impl AddAssign for Legible {
    fn add_assign(&mut self, other: Self) {
        self.text += other.text;
        self.other += other.other;
        self.found |= other.found;
    }
}

impl Legible {
    /// Looks at some places of a block.
    pub fn sample(block: &[u8]) -> Self {
        let mut legible = Self::default();
        for piece in block.chunks(block.len().div_ceil(PLACES).max(LOOKED_AT)) {
            let piece = &piece[..piece.len().min(LOOKED_AT)];
            for line in piece.split(|&byte| byte == b'\n') {
                legible.line(line);
            }
        }
        legible
    }

    /// A crash can leave zeros before a line that is whole.
    fn line(&mut self, line: &[u8]) {
        let zeros = line.iter().take_while(|&&byte| byte == 0).count();
        let rest = &line[zeros..];
        let control = |byte: &u8| byte.is_ascii_control() && !b"\t\r\x0c\x1b".contains(byte);
        if rest.iter().any(control) {
            self.other += line.len() as u64;
        } else {
            self.other += zeros as u64;
            self.text += rest.len() as u64;
        }
    }

    /// Whether no line could be read.
    pub const fn is_none(self) -> bool {
        !self.found && self.text < self.other / CHANCE
    }

    /// Whether more than half is none.
    pub const fn is_hardly(self) -> bool {
        self.other > self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of xorshift32, which are as good as any.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 2_463_534_242_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        };
        (0..length).map(|_| next()).collect()
    }

    const LINE: &[u8] = b"Mar 12 13:40:34 gate kernel: \x1b[1mna\xefve\x1b[0m\tlink up\r\n";

    #[test]
    fn logs_are_text() {
        for lines in [0, 1, 3, 20_000] {
            let legible = Legible::sample(&LINE.repeat(lines));
            assert_eq!(legible.other, 0);
            assert_eq!(legible.text > 0, lines > 0);
        }
        let long = Legible::sample(&vec![b'x'; 1 << 20]);
        assert!(!long.is_hardly() && !long.is_none());
    }

    #[test]
    fn noise_and_records_are_none() {
        for length in [64, 4096, 1 << 20] {
            let legible = Legible::sample(&noise(length));
            assert!(legible.is_none(), "{length}: {legible:?}");
            let found = Legible {
                found: true,
                ..legible
            };
            assert!(!found.is_none() && found.is_hardly());
        }
        let record = [b"\x07\0\0\0pts/0".as_slice(), &[0; 300]].concat();
        for other in [record.repeat(50), vec![0; 1 << 20]] {
            assert!(Legible::sample(&other).is_none());
        }
    }

    #[test]
    fn zeros_before_lines_do_not_make_a_log_none() {
        let text = [vec![0; 4000], LINE.repeat(2000)].concat();
        let legible = Legible::sample(&text);
        assert!(!legible.is_hardly(), "{legible:?}");
        let mostly = [vec![0; 1 << 20], LINE.repeat(2000)].concat();
        let legible = Legible::sample(&mostly);
        assert!(legible.is_hardly() && !legible.is_none(), "{legible:?}");
    }

    #[test]
    fn what_can_be_made_text_of_is_named() {
        let journal = foreign(b"LPKSHHRH\0\0").unwrap();
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
            assert!(foreign(magic).unwrap().contains(name));
        }
        for magic in [LINE, b"", b"LPKS", b"__CURSOR="] {
            assert_eq!(foreign(magic), None);
        }
    }
}
