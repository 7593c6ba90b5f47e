//! Lines that are wider than the terminal.

use std::borrow::Cow;

use anstream::adapter::strip_str;
use console::{measure_text_width, truncate_str};

/// Where words are left out.
const WORDS: &str = " …";

/// Where a word is cut.
const LETTERS: &str = "…";

/// A line without what has no room, and a mark in its place. Words are left out
/// whole: the beginning of an address reads like another address. Only a first word
/// that is too long by itself is cut.
pub(super) fn clipped(line: &str, width: usize) -> Cow<'_, str> {
    if measure_text_width(line) <= width {
        return Cow::Borrowed(line);
    }
    let text = strip_str(line).to_string();
    let room = width.saturating_sub(measure_text_width(WORDS));
    let whole = ends_of_words(&text)
        .map(|end| measure_text_width(&text[..end]))
        .take_while(|&columns| columns <= room)
        .last();
    match whole {
        Some(columns) => truncate_str(line, columns + measure_text_width(WORDS), WORDS),
        None => truncate_str(line, width, LETTERS),
    }
}

/// Where the words of a text end, in bytes.
fn ends_of_words(text: &str) -> impl Iterator<Item = usize> {
    let next = |at: usize| text[at..].chars().next();
    text.char_indices()
        .filter(|(_, letter)| !letter.is_whitespace())
        .map(|(at, letter)| at + letter.len_utf8())
        .filter(move |&end| next(end).is_none_or(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_left_out_whole() {
        let row = "12  192.0.2.1:40000 → 198.51.100.12:53";
        let clip = |width| clipped(row, width).into_owned();
        assert_eq!(clip(38), row);
        assert_eq!(clip(37), "12  192.0.2.1:40000 → …");
        assert_eq!(clip(23), "12  192.0.2.1:40000 → …");
        assert_eq!(clip(22), "12  192.0.2.1:40000 …");
        assert_eq!(clip(20), "12 …");
        assert_eq!(clip(4), "12 …");
    }

    #[test]
    fn a_first_word_that_is_too_long_is_cut() {
        assert_eq!(clipped("2026-11-29T13:07:45Z 3", 10), "2026-11-2…");
        assert_eq!(clipped("abc", 1), "…");
        assert_eq!(clipped("abc def", 0), "…", "no terminal is that narrow");
    }

    #[test]
    fn colours_end_where_they_would() {
        let bold = "\u{1b}[1m12 packets refused\u{1b}[0m in 1.0 s";
        assert_eq!(clipped(bold, 40), bold);
        assert_eq!(clipped(bold, 20), "\u{1b}[1m12 packets refused\u{1b}[0m …");
        assert_eq!(clipped(bold, 12), "\u{1b}[1m12 packets …\u{1b}[0m");
    }

    #[test]
    fn wide_letters_take_two_columns() {
        assert_eq!(clipped("接続 追跡 12", 12), "接続 追跡 12");
        assert_eq!(clipped("接続 追跡 12", 11), "接続 追跡 …");
        assert_eq!(clipped("接続 追跡 12", 10), "接続 …");
    }
}
