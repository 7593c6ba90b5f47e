//! Words: quotes, and the expansions of variables whose value is known. All other
//! expansions are for the shell alone to tell.

use brush_parser::{
    ast::Word,
    word::{
        self, Parameter, ParameterExpr, ParameterTestType, SpecialParameter, WordPiece,
        WordPieceWithSource,
    },
};

use crate::facts::{
    reader::Source,
    shell::{
        Dialect,
        effect::{GAP, Word as Given},
        run::Shell,
        state::State,
        syntax,
        value::Value,
    },
};

/// A part of a word.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) text: String,
    pub(super) quoted: bool,
    /// Whether it is the value of a variable, which may be several words.
    pub(super) expanded: bool,
}

/// What is known of a parameter.
enum Known {
    /// Its value.
    Text(String),
    /// It is not set, or does not pass a test.
    Unset,
    /// Nothing.
    Not,
}

/// Letters that make a text a pattern of file names or braces.
const SPECIAL: [char; 6] = ['*', '?', '[', '{', '~', '\\'];

/// A word from its parts.
fn whole(parts: &[Part]) -> Given {
    let texts: String = parts.iter().map(|part| part.text.as_str()).collect();
    Given::new(texts)
}

impl Shell<'_> {
    /// The words that a word becomes; of those that only the shell could tell, one with
    /// gaps.
    pub(super) fn fields(
        &mut self,
        state: &mut State,
        word: &Word,
        at: &Source,
    ) -> Result<Vec<String>, Given> {
        let parts = self.parts(state, &word.value, at);
        let shape = whole(&parts);
        let known = shape.known().is_some();
        self.split(state, parts).filter(|_| known).ok_or(shape)
    }

    /// Splits a word where the values of variables have blanks, and finds the files of
    /// patterns; none if only the shell could tell.
    fn split(&self, state: &State, parts: Vec<Part>) -> Option<Vec<String>> {
        let mut fields: Vec<String> = Vec::new();
        let mut open = false;
        let special = |part: &Part| !part.quoted && part.text != "[" && part.text.contains(SPECIAL);
        if parts.iter().any(special) {
            return self.files_of(state, &parts);
        }
        for part in parts {
            if part.quoted || !part.expanded {
                if !open {
                    fields.push(String::new());
                }
                fields.last_mut()?.push_str(&part.text);
                open = true;
                continue;
            }
            if state.known("IFS").is_some() || state.anything.is_some() {
                return None;
            }
            let blank = |c: char| matches!(c, ' ' | '\t' | '\n');
            for (number, piece) in part.text.split(blank).enumerate() {
                open &= number == 0;
                if !piece.is_empty() {
                    if !open {
                        fields.push(String::new());
                    }
                    fields.last_mut()?.push_str(piece);
                    open = true;
                }
            }
        }
        Some(fields)
    }

    /// The text of a word that stays one: of an assignment, a redirection, a
    /// pattern.
    pub(super) fn text(&mut self, state: &mut State, raw: &str, at: &Source) -> Option<String> {
        self.given(state, raw, at).known().map(str::to_owned)
    }

    /// The same, with gaps for what only the shell could tell.
    pub(super) fn given(&mut self, state: &mut State, raw: &str, at: &Source) -> Given {
        let parts = self.parts(state, raw, at);
        let home = |part: &Part| !part.quoted && !part.expanded && part.text.contains('~');
        if parts.iter().any(home) {
            return Given::unknown();
        }
        whole(&parts)
    }

    /// The file that a redirection names: whether a pattern stands for a file's name there
    /// depends on the shell.
    pub(super) fn target(&mut self, state: &mut State, raw: &str, at: &Source) -> Given {
        let word = self.given(state, raw, at);
        let is_quoted = raw.contains(['\'', '"', '\\']);
        if is_quoted || !word.with_gaps().contains(['*', '?', '[']) {
            return word;
        }
        let begin = word.with_gaps().split(['*', '?', '[']).next();
        Given::new(format!("{}{GAP}", begin.unwrap_or_default()))
    }

    /// The parts of a word, with gaps.
    fn parts(&mut self, state: &mut State, raw: &str, at: &Source) -> Vec<Part> {
        let gap = || Part {
            text: GAP.to_string(),
            quoted: true,
            expanded: false,
        };
        if raw.contains(GAP) {
            return vec![gap()];
        }
        let Ok(pieces) = word::parse(raw, &syntax::options()) else {
            state.forget(at);
            return vec![gap()];
        };
        let mut parts = Vec::new();
        for piece in pieces {
            match self.piece(state, piece, at) {
                Some(more) => parts.extend(more),
                None => parts.push(gap()),
            }
        }
        parts
    }

    fn piece(
        &mut self,
        state: &mut State,
        piece: WordPieceWithSource,
        at: &Source,
    ) -> Option<Vec<Part>> {
        let part = |text: String, quoted, expanded| {
            Some(vec![Part {
                text,
                quoted,
                expanded,
            }])
        };
        match piece.piece {
            WordPiece::Text(text) => part(text, false, false),
            WordPiece::SingleQuotedText(text) => part(text, true, false),
            WordPiece::AnsiCQuotedText(text) if self.dialect == Dialect::Bash => {
                part(ansi_c(&text)?, true, false)
            }
            WordPiece::EscapeSequence(text) => {
                let letter = text.strip_prefix('\\')?;
                let gone = if letter == "\n" { "" } else { letter };
                part(gone.to_owned(), true, false)
            }
            WordPiece::DoubleQuotedSequence(pieces) => {
                let mut whole = String::new();
                for piece in pieces {
                    let text = match piece.piece {
                        WordPiece::Text(text) => Some(text.replace("\\\n", "")),
                        _ => self
                            .piece(state, piece, at)
                            .map(|parts| parts.into_iter().map(|part| part.text).collect()),
                    };
                    match text {
                        Some(text) => whole.push_str(&text),
                        None => whole.push(GAP),
                    }
                }
                part(whole, true, false)
            }
            WordPiece::ParameterExpansion(expression) => {
                let text = self.parameter(state, expression, at)?;
                part(text, false, true)
            }
            WordPiece::CommandSubstitution(command) => {
                part(self.substitution(state, &command, at)?, false, true)
            }
            WordPiece::BackquotedCommandSubstitution(command) if !command.contains('\\') => {
                part(self.substitution(state, &command, at)?, false, true)
            }
            WordPiece::ArithmeticExpression(expression) => {
                let changes = ["=", "++", "--", "$", "`", "["];
                if changes.iter().any(|mark| expression.value.contains(mark)) {
                    state.forget(at);
                }
                None
            }
            WordPiece::AnsiCQuotedText(_)
            | WordPiece::BackquotedCommandSubstitution(_)
            | WordPiece::GettextDoubleQuotedSequence(_)
            | WordPiece::TildePrefix(_) => None,
        }
    }

    fn parameter(
        &mut self,
        state: &mut State,
        expression: ParameterExpr,
        at: &Source,
    ) -> Option<String> {
        match expression {
            ParameterExpr::Parameter {
                parameter,
                indirect: false,
            } => match self.value(state, &parameter) {
                Known::Text(text) => Some(text),
                Known::Not => None,
                Known::Unset if !state.stops_at_unset => Some(String::new()),
                Known::Unset => {
                    self.may_exit(state, at);
                    None
                }
            },
            ParameterExpr::UseDefaultValues {
                parameter,
                indirect: false,
                test_type,
                default_value,
            } => match self.tested(state, &parameter, &test_type) {
                Known::Text(text) => Some(text),
                Known::Unset => self.simple(state, default_value, at),
                Known::Not => None,
            },
            ParameterExpr::AssignDefaultValues {
                parameter: Parameter::Named(name),
                indirect: false,
                test_type,
                default_value,
            } => {
                let parameter = Parameter::Named(name.clone());
                match self.tested(state, &parameter, &test_type) {
                    Known::Text(text) => Some(text),
                    Known::Unset => {
                        let text = self.simple(state, default_value, at);
                        self.assign(state, &name, text.clone(), at);
                        text
                    }
                    Known::Not => {
                        self.assign(state, &name, None, at);
                        None
                    }
                }
            }
            ParameterExpr::UseAlternativeValue {
                parameter,
                indirect: false,
                test_type,
                alternative_value,
            } => match self.tested(state, &parameter, &test_type) {
                Known::Text(_) => self.simple(state, alternative_value, at),
                Known::Unset => Some(String::new()),
                Known::Not => None,
            },
            ParameterExpr::IndicateErrorIfNullOrUnset {
                parameter,
                indirect: false,
                test_type,
                ..
            } => {
                let Known::Text(text) = self.tested(state, &parameter, &test_type) else {
                    self.may_exit(state, at);
                    return None;
                };
                Some(text)
            }
            // The directory of a path, and its last part.
            ParameterExpr::RemoveSmallestSuffixPattern {
                parameter,
                indirect: false,
                pattern: Some(pattern),
            } if pattern == "/*" => match self.value(state, &parameter) {
                Known::Text(text) => Some(
                    text.rsplit_once('/')
                        .map_or(text.clone(), |(directory, _)| directory.to_owned()),
                ),
                Known::Unset | Known::Not => None,
            },
            ParameterExpr::RemoveLargestPrefixPattern {
                parameter,
                indirect: false,
                pattern: Some(pattern),
            } if pattern == "*/" => match self.value(state, &parameter) {
                Known::Text(text) => text.rsplit('/').next().map(str::to_owned),
                Known::Unset | Known::Not => None,
            },
            ParameterExpr::AssignDefaultValues { .. } | ParameterExpr::Substring { .. } => {
                state.forget(at);
                None
            }
            _ => None,
        }
    }

    /// The value of a parameter.
    fn value(&self, state: &State, parameter: &Parameter) -> Known {
        match parameter {
            Parameter::Named(name) if name != SOURCE && !OWN.contains(&name.as_str()) => {
                match state.known(name) {
                    Some(Value::Text(text, _)) => Known::Text(text.clone()),
                    Some(Value::Unset) => Known::Unset,
                    Some(Value::Unknown(_)) | None => Known::Not,
                }
            }
            Parameter::Positional(number @ 1..) => {
                let at = usize::try_from(*number - 1).unwrap_or(usize::MAX);
                match self.arguments().map(|all| all.get(at)) {
                    Some(Some(Some(argument))) => Known::Text(argument.clone()),
                    Some(None) => Known::Unset,
                    Some(Some(None)) | None => Known::Not,
                }
            }
            Parameter::Special(SpecialParameter::ShellName) => match &self.name {
                Some(name) if state.anything.is_none() => Known::Text(name.clone()),
                _ => Known::Not,
            },
            Parameter::NamedWithIndex { name, index } if name == SOURCE && index == "0" => {
                self.file_at_hand()
            }
            Parameter::Named(name) if name == SOURCE => self.file_at_hand(),
            _ => Known::Not,
        }
    }

    /// `BASH_SOURCE`
    fn file_at_hand(&self) -> Known {
        let file = self.frames.last().map(|frame| &frame.file.file);
        match file.filter(|_| self.dialect == Dialect::Bash && self.name.is_some()) {
            Some(file) => Known::Text(file.display().to_string()),
            None => Known::Not,
        }
    }

    /// The value of a parameter that passes a test.
    fn tested(&self, state: &State, parameter: &Parameter, test: &ParameterTestType) -> Known {
        match self.value(state, parameter) {
            Known::Text(value) if value.is_empty() && !matches!(test, ParameterTestType::Unset) => {
                Known::Unset
            }
            known => known,
        }
    }

    /// A word inside of an expansion, if it has nothing in it that would be read
    /// otherwise there.
    fn simple(&mut self, state: &mut State, raw: Option<String>, at: &Source) -> Option<String> {
        let raw = raw.unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._/-+:,=%$@".contains(c);
        if raw.chars().all(plain) {
            self.text(state, &raw, at)
        } else {
            state.forget(at);
            None
        }
    }
}

/// The variable of bash that has the path of the file at hand.
const SOURCE: &str = "BASH_SOURCE";

/// Variables that the shell sets by itself.
const OWN: [&str; 12] = [
    "_",
    "RANDOM",
    "SECONDS",
    "LINENO",
    "BASHPID",
    "FUNCNAME",
    "OPTIND",
    "OPTARG",
    "PPID",
    "UID",
    "EUID",
    "EPOCHSECONDS",
];

/// A text in `$'…'`.
fn ansi_c(raw: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = raw.chars();
    while let Some(letter) = rest.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        text.push(match rest.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            letter @ ('\\' | '\'' | '"') => letter,
            _ => return None,
        });
    }
    Some(text)
}
