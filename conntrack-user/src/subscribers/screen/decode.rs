//! Bytes of a terminal as keys.

use std::str;

use crate::subscribers::input::Key;

/// The longest sequence that is waited for.
const LONGEST: usize = 16;

/// Bytes that came, and are no whole key yet.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pending: Vec<u8>,
}

/// What begins a list of bytes.
enum Begin {
    /// A key of so many bytes; none if nobody knows the sequence.
    Key(Option<Key>, usize),
    /// More bytes must come.
    Part,
}

impl Decoder {
    /// The keys that are whole with these bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while !self.pending.is_empty() {
            let Begin::Key(key, length) = begin(&self.pending) else {
                if self.pending.len() > LONGEST {
                    self.pending.clear();
                }
                break;
            };
            self.pending.drain(..length);
            keys.extend(key);
        }
        keys
    }

    /// Whether more bytes must come, or an Escape was pressed.
    pub(super) const fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// No more bytes came: an escape by itself is that key.
    pub(super) fn give_up(&mut self) -> Option<Key> {
        let is_escape = self.pending == b"\x1b";
        self.pending.clear();
        is_escape.then_some(Key::Escape)
    }
}

fn begin(bytes: &[u8]) -> Begin {
    let one = |key| Begin::Key(Some(key), 1);
    match bytes {
        [] => Begin::Part,
        [0x1b, rest @ ..] => escaped(rest),
        [b'\t', ..] => one(Key::Tab),
        [b'\r' | b'\n', ..] => one(Key::Enter),
        [0x7f | 0x08, ..] => one(Key::Backspace),
        [control @ 1..=26, ..] => one(Key::Ctrl((b'a' + control - 1).into())),
        [byte @ b' '..=b'~', ..] => one(Key::Char((*byte).into())),
        _ => letter(bytes),
    }
}

/// What follows an escape.
fn escaped(rest: &[u8]) -> Begin {
    match rest {
        [] | [b'O'] => Begin::Part,
        [b'[', rest @ ..] => control(rest),
        [b'O', last, ..] => Begin::Key(arrow(*last), 3),
        // Escape, and then something else.
        [0x1b, ..] => Begin::Key(Some(Key::Escape), 1),
        // A key with Alt.
        _ => Begin::Key(None, 2),
    }
}

/// A control sequence: parameters, and then its last byte.
fn control(rest: &[u8]) -> Begin {
    let Some(end) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        return Begin::Part;
    };
    let length = end + 3;
    let parameters = &rest[..end];
    let key = match (parameters, rest[end]) {
        (b"1" | b"7", b'~') => Some(Key::Home),
        (b"4" | b"8", b'~') => Some(Key::End),
        (b"5", b'~') => Some(Key::PageUp),
        (b"6", b'~') => Some(Key::PageDown),
        (b"11", b'~') => Some(Key::Help),
        (_, last) => arrow(last),
    };
    Begin::Key(key, length)
}

const fn arrow(last: u8) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'P' => Key::Help,
        b'Z' => Key::BackTab,
        _ => return None,
    })
}

/// A letter of several bytes.
fn letter(bytes: &[u8]) -> Begin {
    let length = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Begin::Key(None, 1),
    };
    let Some(bytes) = bytes.get(..length) else {
        return Begin::Part;
    };
    match str::from_utf8(bytes) {
        Ok(text) => Begin::Key(text.chars().next().map(Key::Char), length),
        Err(_) => Begin::Key(None, 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        Decoder::default().feed(bytes)
    }

    #[test]
    fn terminals_send_a_key_in_several_ways() {
        for up in ["\x1b[A", "\x1bOA", "\x1b[1;5A"] {
            assert_eq!(keys(up.as_bytes()), [Key::Up], "{up:?}");
        }
        for home in ["\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~"] {
            assert_eq!(keys(home.as_bytes()), [Key::Home], "{home:?}");
        }
        assert_eq!(
            keys("q\x1b[5~é\x1b[Z\t\n\x7f\x0c".as_bytes()),
            [
                Key::Char('q'),
                Key::PageUp,
                Key::Char('é'),
                Key::BackTab,
                Key::Tab,
                Key::Enter,
                Key::Backspace,
                Key::Ctrl('l'),
            ]
        );
        assert_eq!(keys(b"\x1b[99~\x1bxj"), [Key::Char('j')], "unknown ones");
    }

    #[test]
    fn an_escape_is_one_when_nothing_follows() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"\x1b"), []);
        assert!(decoder.waits());
        assert_eq!(decoder.give_up(), Some(Key::Escape));
        assert_eq!(decoder.feed(b"\x1b"), []);
        assert_eq!(decoder.feed(b"[B"), [Key::Down]);
        assert!(!decoder.waits());
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_parts_are_the_same_keys(
            bytes in prop::collection::vec(any::<u8>(), 0..12),
            cut in 0_usize..12,
        ) {
            let cut = cut.min(bytes.len());
            let mut decoder = Decoder::default();
            let mut parts = decoder.feed(&bytes[..cut]);
            parts.extend(decoder.feed(&bytes[cut..]));
            prop_assert_eq!(parts, keys(&bytes));
        }
    }
}
