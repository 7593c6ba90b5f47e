//! What the kernel makes of a text that is written to a sysctl.

/// What the kernel makes of a text that is written to the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the limit then.
    Number(u64),
    /// It takes none of it.
    Refused,
    /// That depends on more than is known.
    Unclear,
}

/// The most bytes of a text that are looked at: a page without its last byte
/// (`kernel/sysctl.c: __do_proc_dointvec`). What follows may come in a second write.
const LONGEST: usize = 4095;

/// The most letters of a number: one less than `TMPBUFLEN` (`kernel/sysctl.c`).
const LONGEST_NUMBER: usize = 21;

/// The kernel's `isspace`. It has 0xa0, too (`lib/ctype.c`), which is no UTF-8.
fn is_blank(letter: char) -> bool {
    matches!(letter, '\t'..='\r' | ' ')
}

/// What the kernel makes of a text, whose first word counts, in C's notation
/// (`kernel/sysctl.c: proc_get_long`). `release` is its major and minor number, if
/// they are known.
pub fn taken(text: &str, release: Option<(u32, u32)>) -> Taken {
    if text.len() > LONGEST {
        return Taken::Unclear;
    }
    let text = text.trim_start_matches(is_blank);
    // A single byte 0xa0, which is read as this one, counts as a blank there.
    if text.starts_with(char::REPLACEMENT_CHARACTER) {
        return Taken::Unclear;
    }
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let word = text.split(is_blank).next().unwrap_or_default();
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => (&word[2..], 16),
        [b'0', _, ..] => (&word[1..], 8),
        _ => (word, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Taken::Refused;
    }
    if word.len() >= LONGEST_NUMBER {
        return Taken::Unclear;
    }
    let since = |major, minor| release.is_some_and(|release| release >= (major, minor));
    // Since 2.6.35 only a blank, a tab or a line feed ends a number.
    if text[word.len()..].starts_with(['\r', '\u{b}', '\u{c}']) {
        return if since(3, 0) {
            Taken::Refused
        } else {
            Taken::Unclear
        };
    }
    match u64::from_str_radix(digits, radix) {
        Ok(0) => Taken::Number(0),
        Ok(number) if negative => match release {
            // An `unsigned int` that is written as an `int`; since 6.15, and where that
            // was carried back, negative numbers are refused.
            Some(release) if release < (4, 18) && number <= 1 << 31 => {
                Taken::Number((1 << 32) - number)
            }
            Some(release) if release >= (6, 15) => Taken::Refused,
            _ => Taken::Unclear,
        },
        Ok(number) if i32::try_from(number).is_ok() => Taken::Number(number),
        // Before 4.1 the upper half of such a number is lost.
        Ok(_) if since(4, 1) => Taken::Refused,
        // Before 5.0 digits of such a number are lost.
        Err(_) if since(5, 0) => Taken::Refused,
        _ => Taken::Unclear,
    }
}

/// A value that every kernel takes for the limit.
pub fn number(value: &str) -> Option<u64> {
    match taken(value, None) {
        Taken::Number(number) => Some(number),
        Taken::Refused | Taken::Unclear => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_c_s() {
        assert_eq!(number("262144"), Some(262_144));
        assert_eq!(number("0x40000"), Some(262_144));
        assert_eq!(number("010"), Some(8));
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("-0"), Some(0));
        assert_eq!(number("262144 # many"), Some(262_144));
        assert_eq!(number("\u{b}\u{c}\r\n 262144\t"), Some(262_144));
        for refused in [
            "",
            " ",
            "-",
            "many",
            "1048576;",
            "262144\r",
            "262144\u{b}5",
            "262144\u{a0}",
            "\u{a0}262144",
            "\u{feff}262144",
            "08",
            "0x",
            "0xg",
            "256k",
            "+1",
            "- 1",
            "1e6",
            "1,000",
            "”1”",
        ] {
            assert_eq!(taken(refused, Some((6, 1))), Taken::Refused, "{refused:?}");
        }
    }

    #[test]
    fn what_some_kernels_take_is_unclear() {
        let of = |text, release| taken(text, release);
        assert_eq!(of("-1", Some((6, 18))), Taken::Refused);
        assert_eq!(of("-1", Some((6, 1))), Taken::Unclear);
        assert_eq!(of("-1", Some((3, 10))), Taken::Number(u32::MAX.into()));
        assert_eq!(of("-2147483648", Some((3, 10))), Taken::Number(1 << 31));
        assert_eq!(of("-2147483649", Some((3, 10))), Taken::Unclear);
        assert_eq!(of("2147483648", Some((4, 1))), Taken::Refused);
        assert_eq!(of("2147483648", Some((3, 10))), Taken::Unclear);
        assert_eq!(of("99999999999999999999", Some((6, 1))), Taken::Refused);
        assert_eq!(of("99999999999999999999", Some((4, 18))), Taken::Unclear);
        assert_eq!(of("262144\r", Some((2, 6))), Taken::Unclear);
        for text in ["-1", "2147483648", "99999999999999999999", "262144\r"] {
            assert_eq!(taken(text, None), Taken::Unclear, "{text}");
            assert_eq!(number(text), None);
        }
        for text in [
            "0".repeat(30),
            format!("{:<5000}", 7),
            format!("{:>5000}", 7),
            "\u{fffd}7".to_owned(),
        ] {
            let told = taken(&text, Some((6, 18)));
            assert_eq!(told, Taken::Unclear, "{text:.40}");
        }
    }
}
