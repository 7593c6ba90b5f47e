//! The syntax of shell scripts: [`brush_parser`] reads it.

use std::io::Cursor;

use brush_parser::{
    ParseError, Parser, ParserOptions, SourceInfo, TokenizerError,
    ast::{Program, SourceLocation},
};

/// The longest script that is read, in bytes.
const LONGEST: usize = 256 * 1024;

/// How deep constructs may be inside one another: the parser calls itself for each.
const DEEPEST: usize = 40;

/// What cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotUnderstood {
    /// The line, from 1.
    pub(super) line: u32,
}

/// How scripts are read: as bash does. What another shell takes for something
/// else is left out by who runs them.
pub(super) fn options() -> ParserOptions {
    ParserOptions::default()
}

/// Reads a script.
pub(super) fn parse(text: &str) -> Result<Program, NotUnderstood> {
    if let Some(line) = obstacle(text) {
        return Err(NotUnderstood { line });
    }
    let mut parser = Parser::new(Cursor::new(text), &options(), &SourceInfo::default());
    parser.parse_program().map_err(|error| {
        let line = match error {
            ParseError::ParsingNearToken(token) => token.location().start.line,
            ParseError::ParsingAtEndOfInput => text.lines().count(),
            ParseError::Tokenizing { position, .. } => position.map_or(1, |at| at.line),
        };
        let last = text.lines().count();
        NotUnderstood {
            line: u32::try_from(line.min(last).max(1)).unwrap_or(u32::MAX),
        }
    })
}

/// Whether a text ends inside of quotes.
pub(super) fn is_left_open(text: &str) -> bool {
    if obstacle(text).is_some() {
        return false;
    }
    let mut parser = Parser::new(Cursor::new(text), &options(), &SourceInfo::default());
    let Err(ParseError::Tokenizing { inner, .. }) = parser.parse_program() else {
        return false;
    };
    matches!(
        inner,
        TokenizerError::UnterminatedSingleQuote(_) | TokenizerError::UnterminatedDoubleQuote(_)
    )
}

/// The line that an element begins on.
pub(super) fn line_of(element: &impl SourceLocation) -> Option<u32> {
    let location = element.location()?;
    u32::try_from(location.start.line).ok()
}

/// The line of something that the parser is not given: it would panic, take long,
/// or run out of stack, or shells differ in what they make of it.
fn obstacle(text: &str) -> Option<u32> {
    if text.len() > LONGEST {
        return Some(1);
    }
    let mut depth = 0_usize;
    for (number, line) in (1..).zip(text.split('\n')) {
        for word in line.split(|c: char| !c.is_ascii_alphanumeric()) {
            match word {
                "if" | "case" | "do" => depth += 1,
                "fi" | "esac" | "done" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        for letter in line.bytes() {
            match letter {
                b'(' | b'{' => depth += 1,
                b')' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth > DEEPEST
            || line.contains('\0')
            || line.contains("((((")
            || line.matches('`').count() > 16
            || has_long_descriptor(line)
        {
            return Some(number);
        }
    }
    None
}

/// Whether there is a number before `<` or `>` that is no file descriptor.
fn has_long_descriptor(line: &str) -> bool {
    line.match_indices(['<', '>']).any(|(at, _)| {
        let digits = line[..at].bytes().rev();
        digits.take_while(u8::is_ascii_digit).count() > 9
    })
}
