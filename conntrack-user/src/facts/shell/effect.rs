//! What a script does to the world outside of it.

use crate::facts::reader::Source;

/// Something that a script does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    /// What.
    pub(crate) does: Does,
    /// The line.
    pub(crate) at: Source,
    /// Whether it surely comes to that.
    pub(crate) certain: bool,
}

/// What a script can do. What only the shell could tell is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Writes a text to a file.
    Writes {
        /// The file.
        path: Word,
        /// The text.
        text: Option<String>,
    },
    /// Runs a program.
    Runs {
        /// Its name and arguments.
        words: Vec<Word>,
        /// What it reads on standard input.
        input: Option<String>,
        /// The working directory.
        directory: Option<String>,
    },
    /// Something that only the shell could tell: `eval`, a syntax error, a file
    /// that is not there.
    Anything,
}

/// A word that a command is given. What of it only the shell could tell is a gap, which
/// stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word(String);

/// A gap in a text. No text that is known has this letter, which stands for what is no
/// UTF-8.
pub(crate) const GAP: char = char::REPLACEMENT_CHARACTER;

impl Word {
    /// A text, with its gaps.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// One of which nothing is known.
    pub(crate) fn unknown() -> Self {
        Self(GAP.to_string())
    }

    /// The text; none if it has a gap.
    pub(crate) fn known(&self) -> Option<&str> {
        (!self.0.contains(GAP)).then_some(self.0.as_str())
    }

    /// The text with its gaps.
    pub(crate) fn with_gaps(&self) -> &str {
        &self.0
    }

    /// Whether it may be this text.
    pub(crate) fn may_be(&self, text: &str) -> bool {
        let mut parts = self.0.split(GAP);
        let Some(rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let mut rest = rest;
        let mut last = None;
        for part in parts {
            if let Some(before) = last.replace(part) {
                let Some(at) = rest.find(before) else {
                    return false;
                };
                rest = &rest[at + before.len()..];
            }
        }
        last.map_or(rest.is_empty(), |last| rest.ends_with(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_stands_for_any_text() {
        for (text, may_be, is_not) in [
            ("ab", "ab", "abc"),
            ("a?", "a", "ba"),
            ("?b", "ab", "ba"),
            ("a?b?c", "axbyc", "acb"),
            ("a?b?b", "abb", "ab"),
            ("x?", "x", ""),
        ] {
            let word = Word::new(text.replace('?', &GAP.to_string()));
            assert!(word.may_be(may_be), "{text} {may_be}");
            assert!(!word.may_be(is_not), "{text} {is_not}");
            assert_eq!(word.known().is_some(), !text.contains('?'));
        }
    }
}
