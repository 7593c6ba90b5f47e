//! Lines that are wider than the terminal.

use std::borrow::Cow;

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
    let room = width.saturating_sub(measure_text_width(WORDS));
    let whole = ends_of_words(line)
        .map(|end| measure_text_width(&line[..end]))
        .take_while(|&columns| columns <= room)
        .last();
    match whole {
        Some(columns) => truncate_str(line, columns + measure_text_width(WORDS), WORDS),
        None => truncate_str(line, width, LETTERS),
    }
}

/// A line as several of that width, those after the first indented like it and by two
/// more. A word that is too long stays whole, and is cut where it is shown.
pub(super) fn wrapped(line: &str, width: usize) -> Vec<String> {
    if measure_text_width(line) <= width {
        return vec![line.to_owned()];
    }
    let begins = line.len() - line.trim_start().len();
    let indent = " ".repeat((begins + 2).min(width / 2));
    let mut lines = Vec::new();
    let mut current = line[..begins].to_owned();
    let mut is_empty = true;
    for word in line.split_whitespace() {
        let wider = measure_text_width(&current) + measure_text_width(word);
        if !is_empty && wider + 1 > width {
            lines.push(std::mem::replace(&mut current, indent.clone()));
            is_empty = true;
        }
        if !is_empty {
            current.push(' ');
        }
        current.push_str(word);
        is_empty = false;
    }
    lines.push(current);
    lines
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
    fn long_lines_become_several() {
        assert_eq!(wrapped("  a b c", 20), ["  a b c"]);
        assert_eq!(
            wrapped("raise the limit: ctdrop fix", 16),
            ["raise the limit:", "  ctdrop fix"]
        );
        assert_eq!(
            wrapped("  aaaa bbbb cccc", 8),
            ["  aaaa", "    bbbb", "    cccc"]
        );
        assert_eq!(wrapped("1234567890", 4), ["1234567890"]);
    }

    #[test]
    fn wide_letters_take_two_columns() {
        assert_eq!(clipped("接続 追跡 12", 12), "接続 追跡 12");
        assert_eq!(clipped("接続 追跡 12", 11), "接続 追跡 …");
        assert_eq!(clipped("接続 追跡 12", 10), "接続 …");
    }
}
