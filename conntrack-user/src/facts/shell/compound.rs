//! Compound commands: groups, conditions, and what is chosen by a pattern.

use brush_parser::ast::{
    CaseClauseCommand, CaseItem, CaseItemPostAction, CompoundCommand, CompoundList,
    ForClauseCommand, IfClauseCommand, RedirectList, Word,
};

use crate::facts::{
    reader::Source,
    shell::{
        Dialect,
        effect::Does,
        loops::ROUNDS,
        run::Shell,
        state::{State, joined},
    },
};

impl Shell<'_> {
    pub(super) fn compound(
        &mut self,
        mut state: State,
        compound: &CompoundCommand,
        redirects: Option<&RedirectList>,
        line: u32,
    ) -> Option<State> {
        let at = self.source(line);
        let redirects = redirects.map_or(&[][..], |list| &list.0);
        let redirected = self.redirected(&mut state, redirects, None, &at);
        // A file that cannot be opened keeps all of it from being run: no variable
        // is known then, though what it does to others is taken for done.
        let before = redirected.may_fail.then(|| state.clone());
        let end = if redirected.passes_output() {
            self.compound_inside(state, compound, &at)
        } else {
            let (end, text) = self.collecting(|shell| shell.compound_inside(state, compound, &at));
            self.write(&redirected, text, &at);
            end
        };
        match before {
            Some(before) => joined(end, Some(before), &at),
            None => end,
        }
    }

    fn compound_inside(
        &mut self,
        mut state: State,
        compound: &CompoundCommand,
        at: &Source,
    ) -> Option<State> {
        match compound {
            CompoundCommand::BraceGroup(group) => self.list(state, &group.list),
            CompoundCommand::Subshell(subshell) => {
                let copy = state.clone();
                state.status = self.subshell(|shell| shell.list(copy, &subshell.list));
                Some(state)
            }
            CompoundCommand::IfClause(clause) => self.if_clause(state, clause, at),
            CompoundCommand::CaseClause(clause) => self.case_clause(state, clause, at),
            CompoundCommand::ForClause(clause) => self.for_clause(state, clause, at),
            CompoundCommand::WhileClause(clause) => {
                self.while_loop(state, &clause.0, &clause.1.list, true, at)
            }
            CompoundCommand::UntilClause(clause) => {
                self.while_loop(state, &clause.0, &clause.1.list, false, at)
            }
            CompoundCommand::Arithmetic(command)
                if self.dialect == Dialect::Bash
                    && !command.expr.value.contains(['$', '`', '[']) =>
            {
                // It only sets variables.
                state.forget(at);
                Some(state)
            }
            CompoundCommand::Arithmetic(_) | CompoundCommand::ArithmeticForClause(_) => {
                self.effect(Does::Anything, at);
                state.forget(at);
                Some(state)
            }
        }
    }

    fn for_clause(
        &mut self,
        mut state: State,
        clause: &ForClauseCommand,
        at: &Source,
    ) -> Option<State> {
        let values = match &clause.values {
            Some(words) => {
                let mut all = Some(Vec::new());
                for word in words {
                    let fields = self.fields(&mut state, word, at).ok();
                    all = all.zip(fields).map(|(all, more)| [all, more].concat());
                }
                all
            }
            None => self
                .arguments()
                .and_then(|all| all.iter().cloned().collect()),
        };
        let values = values.filter(|values| values.len() <= ROUNDS);
        self.for_loop(state, &clause.variable_name, values, &clause.body.list, at)
    }

    fn if_clause(&mut self, state: State, clause: &IfClauseCommand, at: &Source) -> Option<State> {
        let mut branches = vec![(Some(&clause.condition), &clause.then)];
        for other in clause.elses.iter().flatten() {
            branches.push((other.condition.as_ref(), &other.body));
        }
        self.branches(state, &branches, at)
    }

    fn branches(
        &mut self,
        mut state: State,
        branches: &[(Option<&CompoundList>, &CompoundList)],
        at: &Source,
    ) -> Option<State> {
        let Some(((condition, body), rest)) = branches.split_first() else {
            state.status = Some(true);
            return Some(state);
        };
        if let Some(condition) = condition {
            state = self.excused(|shell| shell.list(state, condition))?;
            match state.status {
                Some(true) => {}
                Some(false) => return self.branches(state, rest, at),
                None => {
                    let copy = state.clone();
                    let then = self.unsure(|shell| shell.list(copy, body));
                    let otherwise = self.unsure(|shell| shell.branches(state, rest, at));
                    return joined(then, otherwise, at);
                }
            }
        }
        self.list(state, body)
    }

    fn case_clause(
        &mut self,
        mut state: State,
        clause: &CaseClauseCommand,
        at: &Source,
    ) -> Option<State> {
        let value = self.text(&mut state, &clause.value.value, at);
        self.cases(state, value.as_deref(), &clause.cases, at)
    }

    fn cases(
        &mut self,
        mut state: State,
        value: Option<&str>,
        cases: &[CaseItem],
        at: &Source,
    ) -> Option<State> {
        let Some((case, rest)) = cases.split_first() else {
            state.status = Some(true);
            return Some(state);
        };
        let matches = self.matches(&mut state, value, &case.patterns, at);
        let goes_on = !matches!(case.post_action, CaseItemPostAction::ExitCase);
        let body = |shell: &mut Self, mut state: State| {
            if let Some(list) = &case.cmd {
                return shell.list(state, list);
            }
            state.status = Some(true);
            Some(state)
        };
        match matches {
            Some(true) if !goes_on => body(self, state),
            Some(false) => self.cases(state, value, rest, at),
            _ => {
                let copy = state.clone();
                let mut then = self.unsure(|shell| body(shell, copy));
                if goes_on {
                    then = then.and_then(|then| {
                        let next = then.clone();
                        let next = self.unsure(|shell| shell.cases(next, None, rest, at));
                        joined(Some(then), next, at)
                    });
                }
                let otherwise = self.unsure(|shell| shell.cases(state, value, rest, at));
                joined(then, otherwise, at)
            }
        }
    }

    fn matches(
        &mut self,
        state: &mut State,
        value: Option<&str>,
        patterns: &[Word],
        at: &Source,
    ) -> Option<bool> {
        let mut known = true;
        for pattern in patterns {
            if pattern.value == "*" {
                return known.then_some(true);
            }
            let text = self
                .text(state, &pattern.value, at)
                .filter(|text| !text.contains(['*', '?', '[', '(', '\\']));
            match (text, value) {
                (Some(text), Some(value)) if text == value && known => return Some(true),
                (Some(text), Some(value)) if text != value => {}
                _ => known = false,
            }
        }
        known.then_some(false)
    }
}
