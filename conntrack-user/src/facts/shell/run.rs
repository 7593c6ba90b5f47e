//! Goes through a script as a shell would, without running anything: what is
//! known of variables, and what the script does. Where a condition is not known,
//! both ways are gone, and what differs is not known afterwards.

use std::rc::Rc;

use crate::facts::{
    reader::{Source, TextFile},
    shell::{
        effect::{Does, Effect},
        host::{Dialect, Files},
        state::{Function, State, joined},
        syntax::{self, line_of},
        value::Value,
    },
};

/// How far functions, files and loops may be inside one another.
const DEEPEST: usize = 16;

/// A shell that goes through scripts.
pub(super) struct Shell<'f> {
    pub(super) files: &'f dyn Files,
    pub(super) dialect: Dialect,
    pub(super) effects: Vec<Effect>,
    /// Assignments that are for one command only.
    pub(super) lost: Vec<(String, Source)>,
    /// The line of an `exit` that may be reached.
    pub(super) exit: Option<Source>,
    /// Whether what is run is sourced by another script.
    pub(super) is_sourced: bool,
    /// A file whose end is of interest when it is sourced, and the state then.
    pub(super) watched: Option<String>,
    pub(super) seen: Option<State>,
    /// States in which it may have ended by `exit`.
    pub(super) exited: Vec<State>,
    /// Functions and files that are being run.
    pub(super) frames: Vec<Frame>,
    pub(super) loops: Vec<Loop>,
    /// How many conditions that are not known lead here.
    unsure: usize,
    /// Whether a failure ends nothing here, as in a condition.
    pub(super) excused: usize,
    /// Standard output that is collected.
    pub(super) collected: Vec<Collected>,
    /// By which path the script is run.
    pub(super) name: Option<String>,
    /// How many commands have been looked at.
    pub(super) commands: usize,
}

/// A function or a file that is being run.
pub(super) struct Frame {
    pub(super) file: Rc<TextFile>,
    /// What is to be added to the numbers of its lines.
    first_line: u32,
    /// Its arguments; none if they are not known.
    pub(super) arguments: Option<Vec<Option<String>>>,
    /// States at each `return`.
    pub(super) returned: Vec<State>,
    /// Whether it may have been left by a `return` already.
    pub(super) may_be_left: bool,
    /// What variables were before they were made local.
    pub(super) locals: Vec<(String, Option<Value>)>,
    pub(super) is_function: bool,
}

/// A loop that is gone through.
#[derive(Default)]
pub(super) struct Loop {
    /// States in which it was left.
    pub(super) broken: Vec<State>,
    /// States in which its next round began.
    pub(super) continued: Vec<State>,
    /// Whether it may have been left already.
    pub(super) may_be_left: bool,
}

/// Standard output that is collected.
pub(super) struct Collected {
    /// None if it is not known.
    pub(super) text: Option<String>,
    /// How much was in doubt when this began, outside of the process at hand and in it.
    doubts: (usize, usize),
}

impl<'f> Shell<'f> {
    pub(super) fn new(files: &'f dyn Files, dialect: Dialect) -> Self {
        Self {
            files,
            dialect,
            effects: Vec::new(),
            lost: Vec::new(),
            exit: None,
            is_sourced: false,
            watched: None,
            seen: None,
            exited: Vec::new(),
            frames: Vec::new(),
            loops: Vec::new(),
            unsure: 0,
            excused: 0,
            collected: Vec::new(),
            name: None,
            commands: 0,
        }
    }

    /// Runs a file in a state. None: it never comes to its end.
    pub(super) fn file(
        &mut self,
        state: State,
        file: &Rc<TextFile>,
        arguments: Option<Vec<Option<String>>>,
    ) -> Option<State> {
        self.frames.push(Frame {
            file: Rc::clone(file),
            first_line: 0,
            arguments,
            returned: Vec::new(),
            may_be_left: false,
            locals: Vec::new(),
            is_function: false,
        });
        let end = self.program(state, &file.text);
        let at = self.source(1);
        let frame = self.frames.pop();
        let returned = frame.map(|frame| frame.returned).unwrap_or_default();
        returned
            .into_iter()
            .fold(end, |end, state| joined(end, Some(state), &at))
    }

    /// Runs a text of the file at hand. What comes before a syntax error is run.
    pub(super) fn program(&mut self, state: State, text: &str) -> Option<State> {
        match syntax::parse(text) {
            Ok(program) => program
                .complete_commands
                .iter()
                .try_fold(state, |state, list| self.list(state, list)),
            Err(error) => {
                let before: String = text
                    .split_inclusive('\n')
                    .take(error.line as usize - 1)
                    .collect();
                let mut state = match syntax::parse(&before) {
                    Ok(program) => program
                        .complete_commands
                        .iter()
                        .try_fold(state, |state, list| self.list(state, list))?,
                    Err(_) => state,
                };
                let at = self.source(error.line);
                self.effect(Does::Anything, &at);
                state.forget(&at);
                Some(state)
            }
        }
    }

    /// Runs what is in `$(…)`, and gives what it prints.
    pub(super) fn substitution(
        &mut self,
        state: &mut State,
        text: &str,
        at: &Source,
    ) -> Option<String> {
        state.status = None;
        if self.frames.len() + self.collected.len() > DEEPEST || syntax::parse(text).is_err() {
            self.effect(Does::Anything, at);
            return None;
        }
        let offset = at.line.saturating_sub(1);
        let frame = self.frames.last_mut()?;
        let before = std::mem::replace(&mut frame.first_line, offset);
        let copy = state.clone();
        let (_, printed) =
            self.collecting(|shell| shell.subshell(|shell| shell.program(copy, text)));
        if let Some(frame) = self.frames.last_mut() {
            frame.first_line = before;
        }
        Some(printed?.trim_end_matches('\n').to_owned())
    }

    /// Collects what something prints; none if that is not known.
    pub(super) fn collecting<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> T,
    ) -> (T, Option<String>) {
        self.collected.push(Collected {
            text: Some(String::new()),
            doubts: self.doubts(),
        });
        let outcome = run(self);
        let text = self.collected.pop().and_then(|collected| collected.text);
        (outcome, text)
    }

    /// How many conditions and ends that are not known lead here: of what a process of its
    /// own takes over, and of what it does not.
    fn doubts(&self) -> (usize, usize) {
        let returned: usize = self.frames.iter().map(|frame| frame.returned.len()).sum();
        let left = self.loops.iter().filter(|found| found.may_be_left).count();
        (self.unsure + returned, self.exited.len() + left)
    }

    /// Whether what is printed now may not be, though the collection of it began.
    pub(super) fn may_not_print(&self) -> bool {
        let (outside, inside) = self.doubts();
        self.collected
            .last()
            .is_some_and(|collected| outside > collected.doubts.0 || inside > collected.doubts.1)
    }

    /// Runs something in a process of its own, which changes no variables here.
    pub(super) fn subshell(
        &mut self,
        run: impl FnOnce(&mut Self) -> Option<State>,
    ) -> Option<bool> {
        let exit = self.exit.clone();
        let exited = std::mem::take(&mut self.exited);
        let loops = std::mem::take(&mut self.loops);
        let collection = self.collected.last_mut();
        let doubts = collection.map(|collected| std::mem::take(&mut collected.doubts.1));
        let left: Vec<bool> = self.frames.iter().map(|frame| frame.may_be_left).collect();
        let returned = self.frames.last().map_or(0, |frame| frame.returned.len());
        let end = run(self);
        let ended_early = !self.exited.is_empty();
        self.exit = exit;
        self.exited = exited;
        self.loops = loops;
        if let Some((collected, doubts)) = self.collected.last_mut().zip(doubts) {
            collected.doubts.1 = doubts;
        }
        for (frame, left) in self.frames.iter_mut().zip(left) {
            frame.may_be_left = left;
        }
        let mut returned_early = false;
        if let Some(frame) = self.frames.last_mut() {
            returned_early = frame.returned.len() > returned;
            frame.returned.truncate(returned);
        }
        end?.status.filter(|_| !ended_early && !returned_early)
    }

    /// A line of the file at hand.
    pub(super) fn source(&self, line: u32) -> Source {
        let frame = self.frames.last();
        let (file, line) = match frame {
            Some(frame) => (Some(&frame.file), line + frame.first_line),
            None => (None, line),
        };
        let text = file.and_then(|file| file.text.lines().nth(line.max(1) as usize - 1));
        Source {
            file: file.map(|file| file.file.clone()).unwrap_or_default(),
            line,
            text: text.unwrap_or_default().trim().to_owned(),
        }
    }

    /// Whether what comes now is surely run.
    pub(super) fn is_certain(&self) -> bool {
        self.unsure == 0
            && self.exit.is_none()
            && self.frames.iter().all(|frame| !frame.may_be_left)
            && self.loops.iter().all(|found| !found.may_be_left)
    }

    pub(super) fn effect(&mut self, does: Does, at: &Source) {
        let effect = Effect {
            does,
            at: at.clone(),
            certain: self.is_certain(),
        };
        if effect.certain || !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    /// The arguments of the function or file at hand; none if they are not known.
    pub(super) fn arguments(&self) -> Option<&Vec<Option<String>>> {
        self.frames.last()?.arguments.as_ref()
    }

    /// The script may end here.
    pub(super) fn may_exit(&mut self, state: &State, at: &Source) {
        self.exited.push(state.clone());
        self.exit.get_or_insert_with(|| at.clone());
    }

    /// What comes now is not known: the shell may take it for an error, too.
    pub(super) fn not_understood(&mut self, state: &mut State, at: &Source) {
        self.effect(Does::Anything, at);
        self.may_exit(state, at);
        state.forget(at);
    }

    /// Runs a text that the shell keeps for later.
    pub(super) fn later(&mut self, state: &State, text: &str) {
        let copy = state.clone();
        self.unsure(|shell| shell.subshell(|shell| shell.program(copy, text)));
    }

    /// The function or file at hand is left.
    pub(super) fn leave(&mut self, state: State) {
        if let Some(frame) = self.frames.last_mut() {
            frame.returned.push(state);
            frame.may_be_left = true;
        }
    }

    /// Whether no condition that is not known leads here.
    pub(super) const fn is_unconditional(&self) -> bool {
        self.unsure == 0
    }

    /// Something that may not be run at all.
    pub(super) fn unsure<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        self.unsure += 1;
        let outcome = run(self);
        self.unsure -= 1;
        outcome
    }

    /// Something whose failure ends nothing.
    pub(super) fn excused<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        self.excused += 1;
        let outcome = run(self);
        self.excused -= 1;
        outcome
    }

    /// Calls a function.
    pub(super) fn call(
        &mut self,
        mut state: State,
        function: &Rc<Function>,
        arguments: Option<Vec<Option<String>>>,
        at: &Source,
    ) -> Option<State> {
        if self.frames.len() > DEEPEST {
            self.effect(Does::Anything, at);
            state.forget(at);
            return Some(state);
        }
        self.frames.push(Frame {
            file: Rc::clone(&function.file),
            first_line: 0,
            arguments,
            returned: Vec::new(),
            may_be_left: false,
            locals: Vec::new(),
            is_function: true,
        });
        // A loop outside is none for what is in the function.
        let loops = std::mem::take(&mut self.loops);
        let redirects = function.body.1.as_ref();
        let line = line_of(&function.body.0).unwrap_or(1);
        let end = self.compound(state, &function.body.0, redirects, line);
        self.loops = loops;
        let frame = self.frames.pop()?;
        let mut end = frame
            .returned
            .into_iter()
            .fold(end, |end, state| joined(end, Some(state), at))?;
        for (name, before) in frame.locals.into_iter().rev() {
            match before {
                Some(value) => end.variables.insert(name, value),
                None => end.variables.remove(&name),
            };
        }
        Some(end)
    }
}
