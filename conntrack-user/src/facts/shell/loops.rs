//! Loops: over words that are known, or any number of times.

use brush_parser::ast::CompoundList;

use crate::facts::{
    reader::Source,
    shell::{
        run::{Loop, Shell},
        state::{State, joined},
    },
};

/// How often a loop is gone through at most.
pub(super) const ROUNDS: usize = 64;

impl Shell<'_> {
    /// A loop is left, or its next round begins.
    pub(super) fn leave_loop(&mut self, mut state: State, again: bool) -> Option<State> {
        let Some(innermost) = self.loops.last_mut() else {
            state.status = None;
            return Some(state);
        };
        innermost.may_be_left = true;
        if again {
            innermost.continued.push(state);
        } else {
            innermost.broken.push(state);
        }
        None
    }

    pub(super) fn for_loop(
        &mut self,
        mut state: State,
        name: &str,
        values: Option<Vec<String>>,
        body: &CompoundList,
        at: &Source,
    ) -> Option<State> {
        let Some(values) = values else {
            let name = name.to_owned();
            return Some(self.repeated(state, at, |shell, mut state| {
                shell.assign(&mut state, &name, None, at);
                shell.list(state, body)
            }));
        };
        state.status = Some(true);
        self.loops.push(Loop::default());
        let mut current = Some(state);
        for value in values {
            let Some(mut state) = current.take() else {
                break;
            };
            self.assign(&mut state, name, Some(value), at);
            current = self.list(state, body);
            if let Some(innermost) = self.loops.last_mut() {
                let continued = std::mem::take(&mut innermost.continued);
                innermost.may_be_left = !innermost.broken.is_empty();
                current = continued
                    .into_iter()
                    .fold(current, |all, one| joined(all, Some(one), at));
            }
        }
        let ended = self.loops.pop().unwrap_or_default();
        ended
            .broken
            .into_iter()
            .fold(current, |all, one| joined(all, Some(one), at))
    }

    pub(super) fn while_loop(
        &mut self,
        state: State,
        condition: &CompoundList,
        body: &CompoundList,
        wanted: bool,
        at: &Source,
    ) -> Option<State> {
        let mut first = self.excused(|shell| shell.list(state, condition))?;
        if first.status == Some(!wanted) {
            first.status = Some(true);
            return Some(first);
        }
        Some(self.repeated(first, at, |shell, state| {
            let state = shell.list(state, body)?;
            shell.excused(|shell| shell.list(state, condition))
        }))
    }

    /// Something that is run any number of times: until no more is unknown after it
    /// than before.
    fn repeated(
        &mut self,
        state: State,
        at: &Source,
        mut round: impl FnMut(&mut Self, State) -> Option<State>,
    ) -> State {
        let mut current = state;
        for _ in 0..ROUNDS {
            self.loops.push(Loop::default());
            let copy = current.clone();
            let end = self.unsure(|shell| round(shell, copy));
            let ended = self.loops.pop().unwrap_or_default();
            let known = current.variables.clone();
            let all = ended.broken.into_iter().chain(ended.continued).chain(end);
            current = all.fold(current, |current, state| current.joined(state, at));
            current.status = None;
            if current.variables == known {
                return current;
            }
        }
        current.forget(at);
        current
    }
}
