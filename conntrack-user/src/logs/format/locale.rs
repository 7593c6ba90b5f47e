//! Months and digits as the locale of a host has them: `journalctl` and `dmesg -T` write
//! times by strftime(3), so in the language of whoever ran them.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

/// The words of glibc's locales.
const MONTHS: &str = include_str!("months.txt");

/// The month, 1 to 12, of each word; none of a word that is one month in a language and
/// another one in the next.
static BY_WORD: LazyLock<HashMap<&str, Option<i8>>> = LazyLock::new(by_word);

fn by_word() -> HashMap<&'static str, Option<i8>> {
    let english = "\tjan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec";
    let (common, others) = MONTHS.split_once("\n\n").unwrap_or((MONTHS, ""));
    let mut months: HashMap<&str, Option<i8>> = HashMap::new();
    for locales in [english, common, others] {
        let known: HashSet<&str> = months.keys().copied().collect();
        for (word, month) in words(locales) {
            if !known.contains(word) {
                months
                    .entry(word)
                    .and_modify(|other| *other = other.filter(|other| *other == month))
                    .or_insert(Some(month));
            }
        }
    }
    months
}

/// The words of some locales, with the month of each.
fn words(locales: &str) -> impl Iterator<Item = (&str, i8)> {
    locales
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .flat_map(|(_, months)| months.split('|').zip(1..))
}

/// The month that words mean: one of a locale, or one that begins with its number, as `8月`.
/// A day of the week may come before it.
pub(super) fn month(words: &[u8]) -> Option<i8> {
    let words = text(words);
    let words = words.trim().trim_end_matches('.').to_lowercase();
    month_of(&words).or_else(|| month_of(words.split_once(' ')?.1.trim_start()))
}

fn month_of(words: &str) -> Option<i8> {
    if let Some(month) = BY_WORD.get(words) {
        return *month;
    }
    let mut rest = words.as_bytes();
    let mut month: i8 = 0;
    while let Some((digit, after)) = digit(rest) {
        month = month
            .saturating_mul(10)
            .saturating_add(i8::try_from(digit).ok()?);
        rest = after;
    }
    (1..=12).contains(&month).then_some(month)
}

/// Bytes as text: Latin-1 if they are no UTF-8, as older hosts have it.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// The digits 0 of Unicode's decimal numbers, but for rare scripts: the others follow
/// each (`UnicodeData.txt`, general category Nd).
const ZEROS: [u32; 19] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xe50, 0xed0, 0xf20, 0x1040, 0x17e0, 0xff10,
];

/// The decimal digit that a text begins with, and what follows it.
pub(super) fn digit(text: &[u8]) -> Option<(u8, &[u8])> {
    let length = match text.first()? {
        0..0x80 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => return None,
    };
    let (char, rest) = text.split_at_checked(length)?;
    let char = u32::from(std::str::from_utf8(char).ok()?.chars().next()?);
    let digit = ZEROS
        .iter()
        .find_map(|zero| char.checked_sub(*zero).filter(|digit| *digit < 10))?;
    Some((u8::try_from(digit).ok()?, rest))
}

/// Whether text can be the name of a month or a day, or both: so many words at most,
/// without what programs and paths have in their names.
pub(super) fn is_name(words: &[u8], most: usize) -> bool {
    let mark = |byte: &u8| byte.is_ascii() && !byte.is_ascii_alphanumeric();
    let count = words
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
        .count();
    (1..=most).contains(&count)
        && words
            .iter()
            .filter(|byte| mark(byte))
            .all(|byte| b" .-'/".contains(byte))
        && words
            .iter()
            .any(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_known_in_every_language_that_has_one_meaning_for_them() {
        for (words, expected) in [
            ("oct", Some(10)),
            ("Oct", Some(10)),
            ("8月", Some(8)),
            (" 8月", Some(8)),
            ("12月", Some(12)),
            ("13315963nel", None),
            ("二 8月", Some(8)),
            (" 1월", Some(1)),
            ("Thg 8", Some(8)),
            ("T3 Thg 8", Some(8)),
            ("août", Some(8)),
            ("janv.", Some(1)),
            ("mer. févr.", Some(2)),
            ("Mär", Some(3)),
            ("мая", Some(5)),
            ("сре авг", Some(8)),
            ("İyl", Some(7)),
            ("ส.ค.", Some(8)),
            ("أغسطس", Some(8)),
            ("كانون الثاني", Some(1)),
            ("၁", Some(1)),
            ("ago", Some(8)),
            ("out", Some(10)),
            // October in Croatian, November in Polish.
            ("lis", None),
            ("13月", None),
            ("foo", None),
        ] {
            assert_eq!(month(words.as_bytes()), expected, "{words}");
        }
        assert_eq!(month(b"M\xe4r"), Some(3), "Latin-1");
    }

    #[test]
    fn every_word_of_the_table_is_read() {
        for line in MONTHS.lines().filter(|line| line.contains('\t')) {
            assert_eq!(words(line).count(), 12, "{line}");
        }
        let (common, others) = MONTHS.split_once("\n\n").unwrap();
        assert!(words(others).all(|(word, _)| BY_WORD.contains_key(word)));
        let mut ambiguous = HashSet::new();
        for (word, expected) in words(common) {
            match month(word.as_bytes()) {
                Some(month) => assert_eq!(month, expected, "{word}"),
                None => {
                    ambiguous.insert(word);
                }
            }
        }
        assert_eq!(ambiguous, HashSet::from(["srp", "lis", "lip"]));
    }

    #[test]
    fn digits_are_known_in_every_script() {
        for (text, digit_of) in [("7", 7), ("٣x", 3), ("۹", 9), ("८", 8), ("๑", 1), ("７", 7)]
        {
            assert_eq!(digit(text.as_bytes()).unwrap().0, digit_of, "{text}");
        }
        for text in ["", "x", "月", "½"] {
            assert!(digit(text.as_bytes()).is_none(), "{text}");
        }
        assert!(digit(b"\xd9").is_none() && digit(b"\xff\xff").is_none());
    }

    #[test]
    fn names_are_told_from_what_programs_write() {
        for name in ["oct", "mar. août", "ม.ค.", "D’oct.", "8月"] {
            assert!(is_name(name.as_bytes(), 2), "{name}");
        }
        for other in ["", "12", "sshd[7]:", "a=b", "one two three", "10 11", "x:"] {
            assert!(!is_name(other.as_bytes(), 2), "{other}");
        }
    }
}
