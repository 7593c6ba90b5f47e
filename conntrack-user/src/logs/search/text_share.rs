//! How much of a file is text: whether it is a log at all.

use std::ops::AddAssign;

/// Places of a block that are looked at.
const PLACES: usize = 16;

/// Bytes of each place.
const LOOKED_AT: usize = 64;

/// Where less than one byte in so many is text, chance has made it.
const CHANCE: u64 = 16;

/// How many of the bytes that were sampled are in lines of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextShare {
    /// Bytes in lines of text.
    pub text: u64,
    /// Bytes in other lines.
    pub binary: u64,
    /// Whether there was a line that is searched for.
    pub found: bool,
}

impl AddAssign for TextShare {
    fn add_assign(&mut self, other: Self) {
        self.text += other.text;
        self.binary += other.binary;
        self.found |= other.found;
    }
}

impl TextShare {
    /// Looks at some places of a block.
    pub fn sample(block: &[u8]) -> Self {
        let mut share = Self::default();
        for piece in block.chunks(block.len().div_ceil(PLACES).max(LOOKED_AT)) {
            let piece = &piece[..piece.len().min(LOOKED_AT)];
            for line in piece.split(|&byte| byte == b'\n') {
                share.line(line);
            }
        }
        share
    }

    /// A crash can leave zeros before a line that is whole.
    fn line(&mut self, line: &[u8]) {
        let zeros = line.iter().take_while(|&&byte| byte == 0).count();
        let rest = &line[zeros..];
        let control = |byte: &u8| byte.is_ascii_control() && !b"\t\r\x0c\x1b".contains(byte);
        if rest.iter().any(control) {
            self.binary += line.len() as u64;
        } else {
            self.binary += zeros as u64;
            self.text += rest.len() as u64;
        }
    }

    /// Whether it is no log: hardly any text, and no line that is searched for.
    pub const fn is_no_log(self) -> bool {
        !self.found && self.text < self.binary / CHANCE
    }

    /// Whether less than half of it is text.
    pub const fn is_mostly_binary(self) -> bool {
        self.binary > self.text
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
            let share = TextShare::sample(&LINE.repeat(lines));
            assert_eq!(share.binary, 0);
            assert_eq!(share.text > 0, lines > 0);
        }
        let long = TextShare::sample(&vec![b'x'; 1 << 20]);
        assert!(!long.is_mostly_binary() && !long.is_no_log());
    }

    #[test]
    fn noise_and_records_are_none() {
        for length in [64, 4096, 1 << 20] {
            let share = TextShare::sample(&noise(length));
            assert!(share.is_no_log(), "{length}: {share:?}");
            let found = TextShare {
                found: true,
                ..share
            };
            assert!(!found.is_no_log() && found.is_mostly_binary());
        }
        let record = [b"\x07\0\0\0pts/0".as_slice(), &[0; 300]].concat();
        for other in [record.repeat(50), vec![0; 1 << 20]] {
            assert!(TextShare::sample(&other).is_no_log());
        }
    }

    #[test]
    fn zeros_before_lines_do_not_make_a_log_none() {
        let text = [vec![0; 4000], LINE.repeat(2000)].concat();
        let share = TextShare::sample(&text);
        assert!(!share.is_mostly_binary(), "{share:?}");
        let mostly = [vec![0; 1 << 20], LINE.repeat(2000)].concat();
        let share = TextShare::sample(&mostly);
        assert!(share.is_mostly_binary() && !share.is_no_log(), "{share:?}");
    }
}
