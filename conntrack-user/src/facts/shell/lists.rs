//! Lists of commands, and pipes.

use std::rc::Rc;

use brush_parser::ast::{
    AndOr, AndOrList, Command, CompoundList, FunctionDefinition, Pipeline, SeparatorOperator,
};

use crate::facts::shell::{
    Dialect,
    builtins::is_name,
    command::SPECIAL,
    effect::Does,
    run::Shell,
    state::{Function, State, joined},
    syntax::line_of,
};

/// The most commands that are looked at, so that loops in loops come to an end.
const MOST: usize = 20_000;

impl Shell<'_> {
    pub(super) fn list(&mut self, state: State, list: &CompoundList) -> Option<State> {
        list.0.iter().try_fold(state, |mut state, item| {
            if matches!(item.1, SeparatorOperator::Async) {
                let copy = state.clone();
                self.subshell(|shell| shell.and_or(copy, &item.0));
                state.status = Some(true);
                return Some(state);
            }
            self.and_or(state, &item.0)
        })
    }

    fn and_or(&mut self, state: State, list: &AndOrList) -> Option<State> {
        if list.additional.is_empty() {
            return self.pipeline(state, &list.first);
        }
        let ends_at = list.additional.len() - 1;
        let mut state = self.excused(|shell| shell.pipeline(state, &list.first))?;
        for (number, next) in list.additional.iter().enumerate() {
            let (pipeline, wanted) = match next {
                AndOr::And(pipeline) => (pipeline, true),
                AndOr::Or(pipeline) => (pipeline, false),
            };
            let run = |shell: &mut Self, state| {
                if number == ends_at {
                    shell.pipeline(state, pipeline)
                } else {
                    shell.excused(|shell| shell.pipeline(state, pipeline))
                }
            };
            match state.status {
                Some(status) if status == wanted => state = run(self, state)?,
                Some(_) => {}
                None => {
                    let at = self.source(line_of(pipeline).unwrap_or(1));
                    let mut skipped = state.clone();
                    skipped.status = Some(!wanted);
                    let taken = self.unsure(|shell| run(shell, state));
                    state = joined(Some(skipped), taken, &at)?;
                }
            }
        }
        Some(state)
    }

    pub(super) fn pipeline(&mut self, mut state: State, pipeline: &Pipeline) -> Option<State> {
        if pipeline.bang {
            let mut state = self.excused(|shell| shell.stages(state, &pipeline.seq))?;
            state.status = state.status.map(|status| !status);
            return Some(state);
        }
        state = self.stages(state, &pipeline.seq)?;
        if state.stops_at_failure && self.excused == 0 && state.status != Some(true) {
            let at = self.source(line_of(pipeline).unwrap_or(1));
            let fails = state.status == Some(false);
            // Programs that a script runs at boot are taken to succeed.
            if fails || self.is_sourced {
                self.may_exit(&state, &at);
            }
            if fails {
                return None;
            }
        }
        Some(state)
    }

    fn stages(&mut self, mut state: State, stages: &[Command]) -> Option<State> {
        if let [one] = stages {
            return self.command(state, one, None);
        }
        let mut input = None;
        for (number, stage) in (1..).zip(stages) {
            let copy = state.clone();
            let given = input.take();
            let ends = number == stages.len();
            let run = |shell: &mut Self| shell.subshell(|shell| shell.command(copy, stage, given));
            if ends {
                state.status = run(self);
            } else {
                (state.status, input) = self.collecting(run);
            }
        }
        Some(state)
    }

    /// Runs a command. `input`: what a pipe gives it; none if there is none, or that is not
    /// known.
    fn command(
        &mut self,
        mut state: State,
        command: &Command,
        input: Option<String>,
    ) -> Option<State> {
        let line = line_of(command).unwrap_or(1);
        self.commands += 1;
        if self.commands > MOST {
            let at = self.source(line);
            self.effect(Does::Anything, &at);
            self.may_exit(&state, &at);
            return None;
        }
        match command {
            Command::Simple(simple) => self.simple_command(state, simple, input),
            Command::Function(function) => self.function(state, function, line),
            Command::ExtendedTest(test) => {
                let at = self.source(line);
                state.status = self.extended_test(&mut state, &test.expr, &at);
                Some(state)
            }
            Command::Compound(compound, redirects) => {
                self.compound(state, compound, redirects.as_ref(), line)
            }
        }
    }

    fn function(
        &mut self,
        mut state: State,
        function: &FunctionDefinition,
        line: u32,
    ) -> Option<State> {
        let at = self.source(line);
        let name = function.fname.value.clone();
        let plain = is_name(&name) && !SPECIAL.contains(&name.as_str());
        let is_plain_only = self.dialect != Dialect::Bash && !plain;
        let is_keyword = self.dialect != Dialect::Bash && at.text.starts_with("function");
        // For bash, too, `A=f()` is an error.
        if is_plain_only || is_keyword || name.contains(['=', '$', '\'', '"', '\\', '`']) {
            self.not_understood(&mut state, &at);
        }
        let file = Rc::clone(&self.frames.last()?.file);
        let body = function.body.clone();
        let function = Rc::new(Function { body, file });
        state.functions.insert(name, Some(function));
        state.status = Some(true);
        Some(state)
    }
}
