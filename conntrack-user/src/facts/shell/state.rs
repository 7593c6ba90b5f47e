//! The state of a shell: its variables, functions and options.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use brush_parser::ast::FunctionBody;

use crate::facts::{
    reader::{Source, TextFile},
    shell::value::Value,
};

/// A function, and the file that defines it.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) body: FunctionBody,
    pub(super) file: Rc<TextFile>,
}

/// A state that the shell may be in.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) variables: BTreeMap<String, Value>,
    /// A line that may have set any variable: of those that are not in
    /// `variables`, nothing is known.
    pub(super) anything: Option<Source>,
    /// None of those that only may be defined.
    pub(super) functions: BTreeMap<String, Option<Rc<Function>>>,
    pub(super) read_only: BTreeSet<String>,
    /// Whether the last command succeeded, if that is known.
    pub(super) status: Option<bool>,
    /// `set -e`
    pub(super) stops_at_failure: bool,
    /// `set -u`
    pub(super) stops_at_unset: bool,
    /// `set -f`: patterns are not replaced by names of files.
    pub(super) keeps_patterns: bool,
    /// The working directory, as an absolute path; none if it is not known.
    pub(super) directory: Option<String>,
}

impl State {
    /// What is known of a variable that is not assigned here: whether it is
    /// set at all depends on who runs the script.
    pub(super) fn known(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    /// A line may have set any variable to anything.
    pub(super) fn forget(&mut self, at: &Source) {
        for value in self.variables.values_mut() {
            *value = Value::Unknown(at.clone());
        }
        self.anything = Some(at.clone());
        self.directory = None;
        self.status = None;
    }

    /// A variable as it is in the end.
    pub(super) fn value(&self, name: &str) -> Value {
        match (self.variables.get(name), &self.anything) {
            (Some(value), _) => value.clone(),
            (None, Some(line)) => Value::Unknown(line.clone()),
            (None, None) => Value::Unset,
        }
    }

    /// What is known where two ways of going on meet at a line.
    pub(super) fn joined(mut self, mut other: Self, at: &Source) -> Self {
        let names: BTreeSet<String> = self
            .variables
            .keys()
            .chain(other.variables.keys())
            .cloned()
            .collect();
        // One that only one of the ways unsets may still come from outside.
        let from_outside = |name: &String| {
            [&self, &other]
                .iter()
                .any(|state| !state.variables.contains_key(name))
                && [&self, &other]
                    .iter()
                    .all(|state| state.value(name) == Value::Unset)
        };
        let variables = names
            .into_iter()
            .filter(|name| !from_outside(name))
            .map(|name| {
                let value = self.value(&name).joined(other.value(&name), at);
                (name, value)
            })
            .collect();
        for (name, function) in &mut self.functions {
            let same = match (&function, other.functions.remove(name)) {
                (Some(one), Some(Some(two))) => Rc::ptr_eq(one, &two),
                _ => false,
            };
            if !same {
                *function = None;
            }
        }
        let others = other.functions.into_keys().map(|name| (name, None));
        self.functions.extend(others);
        self.read_only.append(&mut other.read_only);
        Self {
            variables,
            anything: self.anything.or(other.anything),
            functions: self.functions,
            read_only: self.read_only,
            status: self.status.filter(|_| self.status == other.status),
            stops_at_failure: self.stops_at_failure || other.stops_at_failure,
            stops_at_unset: self.stops_at_unset || other.stops_at_unset,
            keeps_patterns: self.keeps_patterns || other.keeps_patterns,
            directory: self
                .directory
                .filter(|directory| other.directory.as_ref() == Some(directory)),
        }
    }
}

/// The same, of ways of which each may not come here.
pub(super) fn joined(one: Option<State>, two: Option<State>, at: &Source) -> Option<State> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.joined(two, at)),
        (one, two) => one.or(two),
    }
}
