//! Takes the bytes of an entry apart, from its begin to its end, each looked at
//! about once.

use std::net::Ipv6Addr;

use crate::table::entry::Address;

/// What is left of an entry.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// Goes past these bytes, if they come next.
    pub(super) fn past(&mut self, bytes: &[u8]) -> bool {
        match self.0.strip_prefix(bytes) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// Goes past spaces.
    pub(super) fn past_spaces(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    /// The bytes up to the next space, or all that is left.
    pub(super) fn word(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| byte == b' ');
        let (word, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        word
    }

    /// A number in decimal digits.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = u64::from(self.digit()?);
        while let Some(digit) = self.digit() {
            number = number.checked_mul(10)?.checked_add(digit.into())?;
        }
        Some(number)
    }

    fn digit(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        let digit = first.wrapping_sub(b'0');
        (digit < 10).then(|| {
            self.0 = rest;
            digit
        })
    }

    /// A decimal number that is not too large for where it belongs.
    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        self.number()?.try_into().ok()
    }

    /// A key of GRE, in hexadecimal digits (`0x10`).
    pub(super) fn key(&mut self) -> Option<u16> {
        if !self.past(b"0x") {
            return self.small();
        }
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let (digits, rest) = self.0.split_at(digits.count());
        self.0 = rest;
        u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    }

    /// An address of either family.
    pub(super) fn address(&mut self) -> Option<Address> {
        let begin = self.0;
        self.v4().or_else(|| {
            self.0 = begin;
            self.v6()
        })
    }

    fn v4(&mut self) -> Option<Address> {
        let mut bytes = [0; 4];
        for (place, byte) in bytes.iter_mut().enumerate() {
            if place > 0 && !self.past(b".") {
                return None;
            }
            let mut number = u16::from(self.digit()?);
            for _ in 0..2 {
                if let Some(digit) = self.digit() {
                    number = number * 10 + u16::from(digit);
                }
            }
            *byte = u8::try_from(number).ok()?;
        }
        self.is_between().then(|| Address::v4(bytes))
    }

    fn v6(&mut self) -> Option<Address> {
        let is_of_it = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let (word, rest) = self.0.split_at(self.0.iter().take_while(is_of_it).count());
        self.0 = rest;
        let address: Ipv6Addr = str::from_utf8(word).ok()?.parse().ok()?;
        self.is_between().then(|| Address::v6(address.octets()))
    }

    /// Whether a value ends here: at a space, a tag or the end.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.0, [] | [b' ' | b'<' | b'\r', ..])
    }
}
