//! Lines of sysctl files.

use crate::plan::edit::replace_line;

/// Gives a line that assigns another value. What surrounds the value stays, but
/// for a carriage return, which not every reader takes for a blank.
pub fn set_value(content: &[u8], line: u32, value: u64) -> Option<Vec<u8>> {
    replace_line(content, line, |line| {
        let line = in_one_piece(line)?;
        let equals = line.iter().position(|&byte| byte == b'=')?;
        let (head, tail) = line.split_at(equals + 1);
        let begins = tail
            .iter()
            .position(|byte| !byte.is_ascii_whitespace())
            .unwrap_or_else(|| tail.strip_suffix(b"\n").unwrap_or(tail).len());
        let (blank, tail) = tail.split_at(begins);
        let ends = tail
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(tail.len());
        let rest: Vec<u8> = tail[ends..]
            .iter()
            .copied()
            .filter(|&byte| byte != b'\r')
            .collect();
        Some([head, blank, value.to_string().as_bytes(), &rest].concat())
    })
}

/// Writes a line that assigns anew, where its name or its form is one that has
/// no effect; its indentation stays.
pub fn rewrite(content: &[u8], line: u32, key: &str, value: u64) -> Option<Vec<u8>> {
    replace_line(content, line, |line| {
        let line = in_one_piece(line)?;
        let indented = line
            .iter()
            .position(|byte| !byte.is_ascii_whitespace())
            .unwrap_or(0);
        let end: &[u8] = if line.ends_with(b"\n") { b"\n" } else { b"" };
        let text = format!("{key} = {value}");
        Some([&line[..indented], text.as_bytes(), end].concat())
    })
}

/// Makes a line a comment.
pub fn comment_out(content: &[u8], line: u32) -> Option<Vec<u8>> {
    replace_line(content, line, |line| {
        Some([b"#".as_slice(), in_one_piece(line)?].concat())
    })
}

/// A line that every program reads as one: some take a carriage return or a null byte
/// in the middle for its end.
fn in_one_piece(line: &[u8]) -> Option<&[u8]> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    (!text.iter().any(|byte| matches!(byte, b'\r' | b'\0'))).then_some(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::facts::sysctl::{Dialect, line};

    fn set(text: &str, number: u32) -> String {
        String::from_utf8(set_value(text.as_bytes(), number, 42).unwrap()).unwrap()
    }

    #[test]
    fn only_the_value_changes() {
        assert_eq!(
            set("# a\n\tx.y  =  7 \nz=1\n", 2),
            "# a\n\tx.y  =  42 \nz=1\n"
        );
        assert_eq!(set("x.y=7", 1), "x.y=42");
        assert_eq!(set("x.y=\n", 1), "x.y=42\n");
        assert_eq!(set("x.y =  \nz=1\n", 1), "x.y =  42\nz=1\n");
        assert_eq!(set("x.y = 7\r\nz = 1\r\n", 1), "x.y = 42\nz = 1\r\n");
        assert_eq!(set("x.y = 256k\n", 1), "x.y = 42\n");
        assert_eq!(set("x.y = 7 # many\n", 1), "x.y = 42 # many\n");
        assert_eq!(set_value(b"nothing\n", 1, 42), None);
    }

    #[test]
    fn lines_that_may_be_two_are_left_alone() {
        for content in [&b"a=1\rx.y=2\r\n"[..], b"a=1\0x.y=2\n"] {
            assert_eq!(set_value(content, 1, 42), None);
            assert_eq!(rewrite(content, 1, "x.y", 42), None);
            assert_eq!(comment_out(content, 1), None);
        }
    }

    #[test]
    fn what_is_no_text_stays() {
        assert_eq!(
            set_value(b"# \xff\nx = 1\n\xfe", 2, 42).unwrap(),
            b"# \xff\nx = 42\n\xfe"
        );
    }

    #[test]
    fn lines_are_written_anew() {
        let new = rewrite(b"a\n  -old/key=9\r\nb", 2, "new.key", 42).unwrap();
        assert_eq!(new, b"a\n  new.key = 42\nb");
        assert_eq!(comment_out(b"a=1\nb=2\n", 2).unwrap(), b"a=1\n#b=2\n");
    }

    proptest! {
        #[test]
        fn the_value_is_read_back_and_nothing_else_changes(
            before in "\\PC{0,20}",
            key in "[a-z]{1,5}\\.[a-z]{1,5}",
            around in "[ \t]{0,3}",
            old in "[!-<>-~]{0,8}",
            after in "\\PC{0,20}",
        ) {
            let text = format!("{before}\n{key}{around}={around}{old}{around}\n{after}");
            let number = u32::try_from(before.lines().count().max(1) + 1).unwrap();
            prop_assume!(text.lines().nth(number as usize - 1).is_some_and(|line| line.starts_with(&key)));
            let new = String::from_utf8(set_value(text.as_bytes(), number, 42).unwrap()).unwrap();
            let read = line::parse(&new, Dialect::Procps4).into_iter().find(|line| line.number == number).unwrap();
            prop_assert_eq!(line::number(&read.value), Some(42));
            for (at, (old, new)) in text.lines().zip(new.lines()).enumerate() {
                prop_assert!(old == new || at + 1 == number as usize);
            }
        }
    }
}
