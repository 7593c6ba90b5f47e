//! Letters that word processors and web pages put in the place of quotes and blanks.

use brush_parser::{Token, tokenize_str};
use serde::Serialize;

use crate::facts::shell::syntax;

/// Letters that the shell takes for ordinary ones; and what was no UTF-8.
const LOOK_ALIKES: [char; 6] = [
    '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{a0}', '\u{fffd}',
];

/// A letter that looks like a quote or a blank and is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LookAlike {
    /// Number of the line, from 1.
    pub line: u32,
    /// The letter.
    pub letter: char,
}

impl LookAlike {
    /// Finds them: those in comments do no harm.
    pub fn find(text: &str) -> Vec<LookAlike> {
        if !text.contains(LOOK_ALIKES) {
            return Vec::new();
        }
        let tokens = match syntax::parse(text) {
            Ok(_) => tokenize_str(text).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        if tokens.is_empty() {
            let code = (1..)
                .zip(text.lines())
                .filter(|(_, line)| !line.trim_start().starts_with('#'));
            return code.flat_map(|(line, code)| in_text(line, code)).collect();
        }
        tokens
            .iter()
            .filter_map(|token| match token {
                Token::Word(word, location) => Some((word, location)),
                Token::Operator(..) => None,
            })
            .flat_map(|(word, location)| {
                let first = u32::try_from(location.start.line).unwrap_or(1);
                (first..).zip(word.split('\n'))
            })
            .flat_map(|(line, text)| in_text(line, text))
            .collect()
    }
}

fn in_text(line: u32, text: &str) -> impl Iterator<Item = LookAlike> {
    let letters = text.chars().filter(|letter| LOOK_ALIKES.contains(letter));
    letters
        .map(move |letter| LookAlike { line, letter })
        .collect::<Vec<_>>()
        .into_iter()
}
