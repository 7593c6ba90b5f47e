//! Simple commands: assignments, functions, what the shell has built in, and
//! programs.

use std::rc::Rc;

use brush_parser::ast::{
    Assignment, AssignmentName, AssignmentValue, CommandPrefixOrSuffixItem, IoRedirect,
    SimpleCommand,
};

use crate::facts::{
    reader::Source,
    shell::{
        Dialect, directory,
        effect::{Does, GAP, Word},
        output,
        redirect::Redirected,
        run::Shell,
        state::{State, joined},
        syntax::line_of,
        value::Value,
    },
};

/// Commands that are a part of the shell in that assignments before them may stay.
pub(super) const SPECIAL: [&str; 15] = [
    ":", ".", "source", "break", "continue", "eval", "exec", "exit", "export", "readonly",
    "return", "set", "shift", "trap", "unset",
];

/// Commands after which those that follow are not run.
const ENDING: [&str; 5] = ["break", "continue", "exec", "exit", "return"];

/// Whether words are a command that ends the script, if what is not known in them is
/// empty.
fn may_end(words: &[Word]) -> bool {
    let mut texts = words.iter().map(|word| word.with_gaps().replace(GAP, ""));
    let name = texts.find(|text| !text.is_empty());
    name.is_some_and(|name| ENDING.contains(&name.as_str()))
}

/// A word of a command.
pub(super) enum Argument {
    /// As it is after all expansions.
    Words(Vec<String>),
    /// What only the shell could tell.
    Unclear(Word),
    /// `NAME=value`: none if it cannot be told, or only adds to what is there.
    Assigns(String, Option<String>),
}

/// The words of a command.
pub(super) fn words(arguments: &[Argument]) -> Vec<Word> {
    let mut words = Vec::new();
    for argument in arguments {
        match argument {
            Argument::Words(more) => words.extend(more.iter().map(Word::new)),
            Argument::Unclear(word) => words.push(word.clone()),
            Argument::Assigns(name, Some(value)) => {
                words.push(Word::new(format!("{name}={value}")));
            }
            Argument::Assigns(name, None) => words.push(Word::new(format!("{name}={GAP}"))),
        }
    }
    words
}

/// Words as arguments, each none if only the shell could tell.
fn as_arguments(words: &[Word]) -> Vec<Option<String>> {
    let known = |word: &Word| word.known().map(str::to_owned);
    words.iter().map(known).collect()
}

impl Shell<'_> {
    pub(super) fn simple_command(
        &mut self,
        mut state: State,
        command: &SimpleCommand,
        input: Option<String>,
    ) -> Option<State> {
        let at = self.source(line_of(command).unwrap_or(1));
        let (assignments, words, redirects) = taken_apart(command);
        let declares = command
            .word_or_name
            .as_ref()
            .is_some_and(|word| DECLARING.contains(&word.value.as_str()));
        let substitutes = state.status;
        let mut arguments = Vec::new();
        for item in words {
            arguments.push(match item {
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) if declares => {
                    let (name, value) = self.assigned(&mut state, &assignment, &at);
                    Argument::Assigns(name, value)
                }
                CommandPrefixOrSuffixItem::Word(word)
                | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                    match self.fields(&mut state, &word, &at) {
                        Ok(words) => Argument::Words(words),
                        Err(word) => Argument::Unclear(word),
                    }
                }
                _ => Argument::Unclear(Word::unknown()),
            });
        }
        let redirected = self.redirected(&mut state, &redirects, input, &at);
        state.status = substitutes;
        let first = arguments
            .iter()
            .find(|argument| !matches!(argument, Argument::Words(words) if words.is_empty()));
        match first {
            None => Some(self.only_assign(state, &assignments, &redirected, &at)),
            Some(Argument::Words(words)) => {
                let name = words[0].clone();
                self.named(state, &name, (&assignments, &arguments), &redirected, &at)
            }
            Some(_) => {
                // The name of the command itself is not known.
                if may_end(&self::words(&arguments)) {
                    self.may_exit(&state, &at);
                }
                self.effect(Does::Anything, &at);
                state.forget(&at);
                for assignment in assignments {
                    let (name, _) = self.assigned(&mut state, assignment, &at);
                    self.assign(&mut state, &name, None, &at);
                }
                self.write(&redirected, None, &at);
                Some(state)
            }
        }
    }

    /// Assignments without a command stay.
    fn only_assign(
        &mut self,
        mut state: State,
        assignments: &[&Assignment],
        redirected: &Redirected,
        at: &Source,
    ) -> State {
        let mut status = Some(true);
        for assignment in assignments {
            let line = self.source(
                u32::try_from(assignment.loc.start.line)
                    .unwrap_or_default()
                    .max(1),
            );
            let (name, value) = self.assigned(&mut state, assignment, &line);
            // What `$(…)` came to is the status.
            status = status.filter(|_| value.is_some());
            let value = value.filter(|_| !redirected.may_fail);
            self.assign(&mut state, &name, value, &line);
        }
        self.write(redirected, Some(String::new()), at);
        state.status = status.filter(|_| !redirected.may_fail);
        state
    }

    fn named(
        &mut self,
        mut state: State,
        name: &str,
        (assignments, arguments): (&[&Assignment], &[Argument]),
        redirected: &Redirected,
        at: &Source,
    ) -> Option<State> {
        let mut temporary = Vec::new();
        for assignment in assignments {
            let (name, _) = self.assigned(&mut state, assignment, at);
            temporary.push(name);
        }
        let function = state.functions.get(name).cloned();
        if function.is_none() && !SPECIAL.contains(&name) {
            if temporary.iter().any(|name| state.read_only.contains(name)) {
                // An error, after which some shells end.
                self.may_exit(&state, at);
                state.forget(at);
            }
            self.lost
                .extend(temporary.drain(..).map(|name| (name, at.clone())));
        }
        // Whether they stay depends on the shell and its mode.
        for name in &temporary {
            self.assign(&mut state, name, None, at);
        }
        let before = redirected.may_fail.then(|| state.clone());
        let run = |shell: &mut Self| match function {
            Some(Some(function)) => {
                let words = as_arguments(words(arguments).get(1..).unwrap_or_default());
                // One that is not known may be several, or none.
                let words = words.iter().all(Option::is_some).then_some(words);
                shell.run_function(state, &function, words, redirected, at)
            }
            Some(None) => {
                shell.effect(Does::Anything, at);
                state.forget(at);
                Some(state)
            }
            None => shell.builtin(state, name, arguments, redirected, at),
        };
        let end = run(self);
        let mut end = match before {
            Some(before) if !ONLY_PRINT.contains(&name) => joined(end, Some(before), at),
            _ => end,
        }?;
        for name in temporary {
            self.assign(&mut end, &name, None, at);
        }
        Some(end)
    }

    fn run_function(
        &mut self,
        state: State,
        function: &Rc<crate::facts::shell::state::Function>,
        arguments: Option<Vec<Option<String>>>,
        redirected: &Redirected,
        at: &Source,
    ) -> Option<State> {
        if redirected.passes_output() {
            return self.call(state, function, arguments, at);
        }
        let (end, text) = self.collecting(|shell| shell.call(state, function, arguments, at));
        self.write(redirected, text, at);
        end
    }

    /// A program, or something that only prints.
    pub(super) fn program_run(
        &mut self,
        state: &mut State,
        words: Vec<Word>,
        redirected: &Redirected,
        at: &Source,
    ) {
        let known: Option<Vec<String>> = as_arguments(&words).into_iter().collect();
        let name = words
            .first()
            .and_then(Word::known)
            .unwrap_or_default()
            .to_owned();
        let name = match name.rsplit_once('/') {
            Some((_, program)) if ONLY_PRINT.contains(&program) => program.to_owned(),
            _ => name,
        };
        let printed = match (name.as_str(), known.as_deref()) {
            ("echo", Some([_, arguments @ ..])) => output::echo(arguments),
            ("printf", Some([_, arguments @ ..])) => output::printf(arguments),
            ("cat", Some([_])) | ("tee", _) => redirected.input.clone(),
            ("cat", Some([_, path])) if path == "-" => redirected.input.clone(),
            ("cat", Some([_, path])) => directory::absolute(state, path)
                .filter(|path| !path.starts_with("/proc/"))
                .and_then(|path| self.files.read(&path))
                .map(|file| file.text),
            (_, Some([_, arguments @ ..])) => self.path_printed(state, &name, arguments),
            _ => None,
        };
        let prints = matches!(name.as_str(), "echo" | "printf");
        state.status = prints
            .then_some(true)
            .filter(|_| !redirected.may_fail && known.is_some() && printed.is_some());
        if !prints {
            self.run(state, words, redirected, at);
        }
        self.write(redirected, printed, at);
    }

    pub(super) fn run(
        &mut self,
        state: &State,
        words: Vec<Word>,
        redirected: &Redirected,
        at: &Source,
    ) {
        let does = Does::Runs {
            words,
            input: redirected.input.clone(),
            directory: state.directory.clone(),
        };
        self.effect(does, at);
    }

    /// Name and value of an assignment; none if only the shell could tell.
    pub(super) fn assigned(
        &mut self,
        state: &mut State,
        assignment: &Assignment,
        at: &Source,
    ) -> (String, Option<String>) {
        let name = match &assignment.name {
            AssignmentName::VariableName(name) => name.clone(),
            // An element of an array: what is in brackets may assign, too.
            AssignmentName::ArrayElementName(name, _) => {
                state.forget(at);
                return (name.clone(), None);
            }
        };
        let value = match &assignment.value {
            AssignmentValue::Scalar(word) => self.text(state, &word.value, at),
            AssignmentValue::Array(items) => {
                if self.dialect != Dialect::Bash {
                    self.not_understood(state, at);
                }
                for (key, item) in items {
                    if key.is_some() {
                        state.forget(at);
                    }
                    _ = self.fields(state, item, at);
                }
                None
            }
        };
        if !assignment.append {
            return (name, value);
        }
        if self.dialect != Dialect::Bash {
            // Others take it for the name of a command, or for an error.
            self.not_understood(state, at);
            return (name, None);
        }
        let before = match state.known(&name) {
            Some(Value::Text(text, _)) => Some(text.clone()),
            Some(Value::Unset) => Some(String::new()),
            Some(Value::Unknown(_)) | None => None,
        };
        let whole = before.zip(value).map(|(before, value)| before + &value);
        (name, whole)
    }

    /// A variable gets a value; none if only the shell could tell.
    pub(super) fn assign(
        &mut self,
        state: &mut State,
        name: &str,
        value: Option<String>,
        at: &Source,
    ) {
        if state.read_only.contains(name) {
            // An error, after which some shells end.
            self.may_exit(state, at);
            state.forget(at);
            return;
        }
        let value = match value.filter(|text| text.len() <= LONGEST) {
            Some(text) => Value::Text(text, at.clone()),
            None => Value::Unknown(at.clone()),
        };
        state.variables.insert(name.to_owned(), value);
    }
}

/// The longest text that a variable is followed with, in bytes: a loop may double it
/// in each round.
const LONGEST: usize = 1 << 16;

/// Commands that assign what follows them.
const DECLARING: [&str; 5] = ["export", "readonly", "declare", "typeset", "local"];

/// Commands that change nothing but what they write.
const ONLY_PRINT: [&str; 6] = ["echo", "printf", "cat", "tee", "[", "test"];

/// The assignments before a command, its words, and its redirections.
type Apart<'c> = (
    Vec<&'c Assignment>,
    Vec<CommandPrefixOrSuffixItem>,
    Vec<IoRedirect>,
);

fn taken_apart(command: &SimpleCommand) -> Apart<'_> {
    let mut assignments = Vec::new();
    let mut words = Vec::new();
    let mut redirects = Vec::new();
    for item in command.prefix.iter().flat_map(|prefix| &prefix.0) {
        match item {
            CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => {
                assignments.push(assignment);
            }
            CommandPrefixOrSuffixItem::IoRedirect(redirect) => redirects.push(redirect.clone()),
            other => words.push(other.clone()),
        }
    }
    words.extend(
        command
            .word_or_name
            .iter()
            .map(|word| CommandPrefixOrSuffixItem::Word(word.clone())),
    );
    for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
        match item {
            CommandPrefixOrSuffixItem::IoRedirect(redirect) => redirects.push(redirect.clone()),
            other => words.push(other.clone()),
        }
    }
    (assignments, words, redirects)
}
