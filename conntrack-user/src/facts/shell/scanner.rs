//! A shell fragment taken apart into commands and words.

use serde::Serialize;

/// Letters that word processors and web pages put in the place of quotes and
/// blanks, and which the shell takes for ordinary ones; and what was no UTF-8.
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

/// A word of a command.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    /// As it is written.
    pub(super) raw: String,
    /// Without quotes.
    pub(super) text: String,
    /// Whether something in it is expanded.
    pub(super) computed: bool,
    /// Number of the line that it begins on.
    pub(super) line: u32,
}

impl Word {
    /// Takes a letter that means itself.
    fn push(&mut self, letter: char) {
        self.raw.push(letter);
        self.text.push(letter);
    }
}

/// A simple command, as far as the next separator.
pub(super) struct Command {
    pub(super) words: Vec<Word>,
    /// Whether it follows `&&`, `||` or `|`, or comes before `|` or `&`.
    pub(super) conditional: bool,
}

/// Goes through a fragment, command by command.
pub(super) struct Scanner<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: u32,
    pub(super) look_alikes: Vec<LookAlike>,
    /// Whether the separator before binds.
    bound: bool,
    /// How many parentheses are open: what is inside is a process of its own,
    /// or an array.
    parentheses: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().peekable(),
            line: 1,
            look_alikes: Vec::new(),
            bound: false,
            parentheses: 0,
        }
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next()?;
        if letter == '\n' {
            self.line += 1;
        } else if LOOK_ALIKES.contains(&letter) {
            let line = self.line;
            self.look_alikes.push(LookAlike { line, letter });
        }
        Some(letter)
    }

    /// The next command; empty ones are among them.
    /// The next command; none at the end.
    pub(super) fn command(&mut self) -> Option<Command> {
        self.rest.peek()?;
        let mut command = Command {
            words: Vec::new(),
            conditional: self.bound || self.parentheses > 0,
        };
        self.bound = false;
        while let Some(&letter) = self.rest.peek() {
            match letter {
                ' ' | '\t' | '\r' => {
                    self.next();
                }
                '#' => self.comment(),
                '\n' | ';' | '(' | ')' => {
                    self.next();
                    match letter {
                        '(' => self.parentheses += 1,
                        ')' => self.parentheses = self.parentheses.saturating_sub(1),
                        _ => {}
                    }
                    // A line may end after `&&`.
                    self.bound = command.words.is_empty() && command.conditional;
                    return Some(command);
                }
                '&' | '|' => {
                    self.next();
                    let twice = self.rest.next_if_eq(&letter).is_some();
                    self.bound = twice || letter == '|';
                    // Of a pipe, and in the background, it is a process of its own.
                    command.conditional |= !twice;
                    return Some(command);
                }
                _ => {
                    // Only a backslash before the end of a line leaves nothing.
                    let word = self.word();
                    if !word.raw.is_empty() {
                        command.words.push(word);
                    }
                }
            }
        }
        Some(command)
    }

    fn comment(&mut self) {
        // Not by `next`: look-alikes in comments do no harm.
        while self.rest.next_if(|&letter| letter != '\n').is_some() {}
    }

    fn word(&mut self) -> Word {
        let mut word = Word {
            line: self.line,
            ..Word::default()
        };
        while let Some(&letter) = self.rest.peek() {
            match letter {
                '(' => {
                    // An array.
                    word.computed |= word.raw.ends_with('=');
                    break;
                }
                ' ' | '\t' | '\r' | '\n' | ';' | ')' | '&' | '|' => break,
                _ => {}
            }
            self.next();
            word.raw.push(letter);
            match letter {
                '\'' => self.single_quoted(&mut word),
                '"' => self.double_quoted(&mut word),
                '\\' => match self.next() {
                    Some('\n') => {
                        word.raw.pop();
                        // What follows begins anew: it may be a comment.
                        if word.raw.is_empty() {
                            return word;
                        }
                    }
                    Some(escaped) => word.push(escaped),
                    None => {}
                },
                '$' | '`' => self.expansion(letter, &mut word),
                other => word.text.push(other),
            }
        }
        word
    }

    fn single_quoted(&mut self, word: &mut Word) {
        while let Some(letter) = self.next() {
            word.raw.push(letter);
            if letter == '\'' {
                return;
            }
            word.text.push(letter);
        }
        word.computed = true;
    }

    fn double_quoted(&mut self, word: &mut Word) {
        while let Some(letter) = self.next() {
            word.raw.push(letter);
            match letter {
                '"' => return,
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(escaped) => {
                        if !['$', '`', '"', '\\'].contains(&escaped) {
                            word.text.push('\\');
                        }
                        word.push(escaped);
                    }
                },
                '$' | '`' => self.expansion(letter, word),
                other => word.text.push(other),
            }
        }
        // The quote is not closed: the shell refuses the whole fragment.
        word.computed = true;
    }

    /// Skips what is expanded, as far as it could be taken for several words.
    fn expansion(&mut self, first: char, word: &mut Word) {
        word.computed = true;
        let (open, close) = match (first, self.rest.peek()) {
            ('`', _) => ('`', '`'),
            (_, Some('(')) => ('(', ')'),
            (_, Some('{')) => ('{', '}'),
            _ => return,
        };
        let mut depth = usize::from(first == '`');
        while let Some(letter) = self.next() {
            word.raw.push(letter);
            if letter == close {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return;
                }
            } else if letter == open {
                depth += 1;
            }
        }
    }
}
