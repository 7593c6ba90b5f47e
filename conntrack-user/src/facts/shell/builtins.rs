//! What the shell has built in.

use std::rc::Rc;

use crate::facts::{
    reader::Source,
    shell::{
        Dialect,
        command::{Argument, words},
        directory,
        effect::{Does, Word},
        redirect::Redirected,
        run::Shell,
        state::State,
        value::Value,
    },
};

/// How far files may source one another.
const DEEPEST: usize = 8;

impl Shell<'_> {
    pub(super) fn builtin(
        &mut self,
        mut state: State,
        name: &str,
        arguments: &[Argument],
        redirected: &Redirected,
        at: &Source,
    ) -> Option<State> {
        let words = words(arguments);
        let known: Option<Vec<&str>> = words.iter().skip(1).map(Word::known).collect();
        match name {
            ":" | "true" => {
                self.write(redirected, Some(String::new()), at);
                state.status = Some(true);
            }
            "false" => state.status = Some(false),
            "exit" => {
                self.may_exit(&state, at);
                return None;
            }
            "return" => return self.return_(state, known.as_deref(), at),
            "break" | "continue" => {
                if known
                    .as_deref()
                    .is_some_and(|levels| levels.is_empty() || levels == ["1"])
                {
                    return self.leave_loop(state, name == "continue");
                }
                // Out of several loops.
                state.forget(at);
                self.effect(Does::Anything, at);
                self.may_exit(&state, at);
                return self.leave_loop(state, false);
            }
            "[" | "test" => {
                let inside = match (name, known.as_deref()) {
                    ("[", Some([inside @ .., "]"])) | ("test", Some(inside)) => Some(inside),
                    _ => None,
                };
                state.status = inside.and_then(|inside| self.test(inside));
                self.write(redirected, Some(String::new()), at);
            }
            "export" | "readonly" | "declare" | "typeset" | "local" => {
                self.declare(&mut state, name, arguments, at);
            }
            "unset" => self.unset(&mut state, known.as_deref(), at),
            "set" => self.set(&mut state, known.as_deref(), at),
            "shift" => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.arguments = None;
                }
                state.status = None;
            }
            "." | "source" => return self.sourced(state, name, known.as_deref(), at),
            "cd" => self.change_directory(&mut state, known.as_deref(), at),
            "pushd" | "popd" => {
                state.directory = None;
                self.program_run(&mut state, words, redirected, at);
            }
            "pwd" => {
                let directory = state.directory.clone().filter(|_| words.len() == 1);
                let text = directory.map(|directory| directory + "\n");
                state.status = None;
                self.write(redirected, text, at);
            }
            "command" | "builtin" | "exec" => {
                return self.indirect(state, name, arguments, redirected, at);
            }
            "eval" | "alias" | "trap" | "let" | "read" | "mapfile" | "readarray" | "getopts"
            | "shopt" | "enable" | "wait" | "coproc" | "hash" | "unalias" => {
                self.changes_more(&mut state, name, known.as_deref(), at);
            }
            "printf"
                if words
                    .get(1)
                    .and_then(Word::known)
                    .is_none_or(|first| first.starts_with("-v")) =>
            {
                state.forget(at);
                self.write(redirected, None, at);
            }
            _ => self.program_run(&mut state, words, redirected, at),
        }
        Some(state)
    }

    fn return_(&mut self, mut state: State, status: Option<&[&str]>, at: &Source) -> Option<State> {
        state.status = match status {
            Some([]) => state.status,
            Some([number]) => number.parse::<u8>().ok().map(|number| number == 0),
            _ => None,
        };
        let is_script = self.frames.len() == 1 && !self.is_sourced;
        if is_script {
            // Some shells end, others go on.
            self.may_exit(&state, at);
            return Some(state);
        }
        self.leave(state);
        None
    }

    fn declare(&mut self, state: &mut State, name: &str, arguments: &[Argument], at: &Source) {
        let in_function = self.frames.last().is_some_and(|frame| frame.is_function);
        if name == "local" && !in_function {
            self.not_understood(state, at);
            return;
        }
        let local = name == "local" || (in_function && matches!(name, "declare" | "typeset"));
        let mut plain = true;
        let mut seen = false;
        for argument in arguments {
            match argument {
                Argument::Unclear(_) => {
                    self.not_understood(state, at);
                    return;
                }
                Argument::Words(words) => {
                    let skipped = usize::from(!seen);
                    for word in &words[skipped.min(words.len())..] {
                        if word.starts_with('-') && self.dialect == Dialect::Bash {
                            plain &= matches!(word.as_str(), "-x" | "-r" | "--");
                            continue;
                        }
                        let (name, value) = match word.split_once('=') {
                            Some((name, value)) => (name, Some(value.to_owned())),
                            None => (word.as_str(), None),
                        };
                        if !is_name(name) {
                            self.not_understood(state, at);
                            return;
                        }
                        if local {
                            self.localise(state, name, at);
                        }
                        if word.contains('=') {
                            self.assign(state, name, value.filter(|_| plain), at);
                        } else if local || !plain {
                            self.assign(state, name, None, at);
                        }
                    }
                    seen |= !words.is_empty();
                }
                Argument::Assigns(name, value) => {
                    if local {
                        self.localise(state, name, at);
                    }
                    self.assign(state, name, value.clone().filter(|_| plain), at);
                }
            }
        }
        if name == "readonly" || !plain {
            for word in words(arguments).iter().skip(1).filter_map(Word::known) {
                let name = word.split('=').next().unwrap_or_default();
                state.read_only.insert(name.to_owned());
            }
            for argument in arguments {
                if let Argument::Assigns(name, _) = argument {
                    state.read_only.insert(name.clone());
                }
            }
        }
        state.status = if self.dialect == Dialect::Bash && plain {
            Some(true)
        } else {
            None
        };
    }

    /// A variable is only for the function at hand.
    fn localise(&mut self, state: &State, name: &str, at: &Source) {
        let before = state.known(name).cloned();
        let certain = self.is_unconditional();
        if let Some(frame) = self.frames.last_mut() {
            let before = if certain {
                before
            } else {
                Some(Value::Unknown(at.clone()))
            };
            frame.locals.push((name.to_owned(), before));
        }
    }

    fn unset(&mut self, state: &mut State, names: Option<&[&str]>, at: &Source) {
        let Some(names) = names else {
            self.not_understood(state, at);
            return;
        };
        let functions = names.first() == Some(&"-f");
        for name in names.iter().skip(usize::from(
            names
                .first()
                .is_some_and(|first| matches!(*first, "-f" | "-v")),
        )) {
            if functions {
                state.functions.remove(*name);
            } else if !is_name(name) || state.read_only.contains(*name) {
                self.not_understood(state, at);
            } else {
                state.variables.insert((*name).to_owned(), Value::Unset);
                if state.functions.contains_key(*name) && names.first() != Some(&"-v") {
                    state.functions.insert((*name).to_owned(), None);
                }
            }
        }
        state.status = None;
    }

    fn set(&mut self, state: &mut State, options: Option<&[&str]>, at: &Source) {
        let Some(options) = options else {
            state.forget(at);
            self.may_exit(state, at);
            return;
        };
        match options {
            [] | ["-x" | "+x" | "-v" | "+v"] => {}
            ["-f"] => state.keeps_patterns = true,
            ["+f"] => state.keeps_patterns = false,
            ["-e"] => state.stops_at_failure = true,
            ["+e"] => state.stops_at_failure = false,
            ["-u"] => state.stops_at_unset = true,
            ["+u"] => state.stops_at_unset = false,
            ["-eu" | "-ue"] => {
                state.stops_at_failure = true;
                state.stops_at_unset = true;
            }
            ["-o", "pipefail"] if self.dialect == Dialect::Bash => {}
            ["--", arguments @ ..] => {
                if let Some(frame) = self.frames.last_mut() {
                    let arguments = arguments.iter().map(|word| Some((*word).to_owned()));
                    frame.arguments = Some(arguments.collect());
                }
            }
            [first, ..] if !first.starts_with(['-', '+']) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.arguments = None;
                }
            }
            // Aliases, no execution, other modes.
            _ => {
                state.forget(at);
                self.effect(Does::Anything, at);
                self.may_exit(state, at);
            }
        }
        state.status = Some(true);
    }

    fn sourced(
        &mut self,
        mut state: State,
        name: &str,
        words: Option<&[&str]>,
        at: &Source,
    ) -> Option<State> {
        let file = match words {
            Some([path]) if path.contains('/') => {
                let path = directory::absolute(&state, path);
                path.and_then(|path| self.files.read(&path))
            }
            _ => None,
        };
        let Some(file) = file.filter(|_| {
            self.frames.len() < DEEPEST && (name == "." || self.dialect == Dialect::Bash)
        }) else {
            // Some shells end if there is no such file.
            self.effect(Does::Anything, at);
            state.forget(at);
            return Some(state);
        };
        let file = Rc::new(file);
        let arguments = self.arguments().cloned();
        let path = words
            .and_then(<[&str]>::first)
            .map(|path| (*path).to_owned());
        let exit = self.exit.is_some();
        let end = self.file(state, &file, arguments);
        if path.is_some() && path == self.watched {
            let exits = !exit && self.exit.is_some();
            let mut seen = end.clone().unwrap_or_default();
            if exits || end.is_none() {
                let line = self.exit.clone().unwrap_or_else(|| at.clone());
                seen.forget(&line);
            }
            self.seen = Some(match self.seen.take() {
                Some(before) => before.joined(seen, at),
                None => seen,
            });
        }
        end
    }

    /// `command`, `builtin` and `exec` run what follows them.
    fn indirect(
        &mut self,
        mut state: State,
        name: &str,
        arguments: &[Argument],
        redirected: &Redirected,
        at: &Source,
    ) -> Option<State> {
        let words = words(arguments);
        match words.get(1).map(Word::known) {
            None => {
                // Redirections of `exec` are for all that follows.
                if name == "exec" {
                    self.write(redirected, None, at);
                }
                state.status = Some(true);
                Some(state)
            }
            Some(Some(next)) if !next.starts_with('-') => {
                let next = next.to_owned();
                if name == "exec" {
                    let rest = words[1..].to_vec();
                    self.program_run(&mut state, rest, redirected, at);
                    self.may_exit(&state, at);
                    return None;
                }
                let inner: Vec<Argument> = words[1..]
                    .iter()
                    .map(|word| match word.known() {
                        Some(text) => Argument::Words(vec![text.to_owned()]),
                        None => Argument::Unclear(word.clone()),
                    })
                    .collect();
                self.builtin(state, &next, &inner, redirected, at)
            }
            Some(Some(option)) if name == "command" && matches!(option, "-v" | "-V") => {
                self.write(redirected, None, at);
                state.status = None;
                Some(state)
            }
            Some(_) => {
                self.effect(Does::Anything, at);
                state.forget(at);
                Some(state)
            }
        }
    }

    /// Commands whose effect is more than can be followed.
    fn changes_more(&mut self, state: &mut State, name: &str, words: Option<&[&str]>, at: &Source) {
        state.status = None;
        match (name, words) {
            ("trap", Some([command, signals @ ..]))
                if signals.iter().all(|signal| AT_END.contains(signal)) =>
            {
                if !matches!(*command, "" | "-") {
                    self.later(state, command);
                }
            }
            ("trap", Some(["" | "-", ..]))
            | ("wait" | "hash" | "unalias", _)
            | ("alias", Some([])) => {}
            ("read", Some(names)) if names.iter().all(|name| is_name(name)) => {
                for name in names {
                    self.assign(state, name, None, at);
                }
            }
            _ => {
                self.effect(Does::Anything, at);
                state.forget(at);
                if matches!(name, "eval" | "trap") {
                    self.may_exit(state, at);
                }
            }
        }
    }
}

/// Signals whose traps change nothing for what comes next.
const AT_END: [&str; 8] = [
    "EXIT", "0", "INT", "TERM", "HUP", "QUIT", "SIGTERM", "SIGINT",
];

pub(super) fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
