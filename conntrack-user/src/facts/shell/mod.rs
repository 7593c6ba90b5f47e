//! Shell scripts and fragments such as `/etc/sysconfig/iptables-config`: which
//! variables they leave set and what they do, as far as that can be told without
//! running them.
//!
//! [`brush_parser`] reads the syntax. What is followed is a safe part of the
//! language: quotes, assignments, `export` and its kin, expansions of variables
//! that are known, conditions of which both sides are known, functions that are
//! called, loops over known words, here-documents, pipes of what prints. What
//! depends on anything else is [`Value::Unknown`], with the line.

mod builtins;
mod command;
mod compound;
mod conditions;
pub(crate) mod directory;
pub(crate) mod effect;
mod expand;
mod host;
mod lists;
mod look_alikes;
mod loops;
mod output;
mod patterns;
mod redirect;
mod run;
mod state;
mod syntax;
#[cfg(test)]
mod tests;
mod value;

use std::rc::Rc;

pub(crate) use crate::facts::shell::host::{Files, Surroundings};
pub use crate::facts::shell::{host::Dialect, look_alikes::LookAlike, value::Value};
use crate::facts::{
    reader::{Source, TextFile},
    shell::{effect::Effect, run::Shell, state::State},
};

/// No files at all.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &str) -> Option<TextFile> {
        None
    }

    fn exists(&self, _: &str) -> Option<bool> {
        None
    }

    fn names(&self, _: &str) -> Option<Vec<String>> {
        None
    }
}

/// A file of assignments that another script sources, and what it leaves set.
#[derive(Clone, Debug, Default)]
pub struct Fragment {
    state: State,
    /// The line of an `exit` in it, which would end the other script.
    exit: Option<Source>,
    lost: Vec<(String, Source)>,
    /// Letters that look like quotes or blanks and are none.
    pub look_alikes: Vec<LookAlike>,
}

impl Fragment {
    /// Reads a fragment that bash sources.
    pub fn parse(text: &str) -> Self {
        Self::parse_as(text, Dialect::Bash)
    }

    /// Reads a fragment that a shell sources.
    pub fn parse_as(text: &str, dialect: Dialect) -> Self {
        let file = TextFile {
            file: std::path::PathBuf::new(),
            text: text.to_owned(),
            executable: false,
        };
        Self::of(&file, dialect)
    }

    /// Reads a file that a shell sources.
    pub(crate) fn of(file: &TextFile, dialect: Dialect) -> Self {
        let mut shell = Shell::new(&NoFiles, dialect);
        shell.is_sourced = true;
        let file = Rc::new(file.clone());
        let end = shell.file(State::default(), &file, None);
        // `set -e` stays: who sources the file ends if its last command has failed.
        let may_fail = end
            .as_ref()
            .is_some_and(|end| end.stops_at_failure && end.status != Some(true));
        let exit = shell.exit.or_else(|| may_fail.then(|| last_line(&file)));
        Self {
            state: end.unwrap_or_default(),
            exit,
            lost: shell.lost,
            look_alikes: LookAlike::find(&file.text),
        }
    }

    /// What a variable holds afterwards.
    pub fn value(&self, name: &str) -> Value {
        match &self.exit {
            Some(exit) => Value::Unknown(exit.clone()),
            None => self.state.value(name),
        }
    }

    /// The last assignment of a variable that has no effect, as a command
    /// follows it.
    pub fn lost(&self, name: &str) -> Option<&Source> {
        let found = self.lost.iter().rev().find(|(lost, _)| lost == name);
        found.map(|(_, source)| source)
    }
}

/// The last line of a file.
fn last_line(file: &TextFile) -> Source {
    let (number, line) = file.lines().last().unwrap_or((1, ""));
    file.source(number, line)
}

/// The variables of a service's script when it has read its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    state: State,
    lost: Vec<(String, Source)>,
}

impl Configured {
    /// Runs a script until it has sourced a file, with variables that nobody sets
    /// before.
    pub(crate) fn by(
        script: &TextFile,
        config: &str,
        unset: &[String],
        (files, dialect): (&dyn Files, Dialect),
    ) -> Self {
        let mut shell = Shell::new(files, dialect);
        shell.watched = Some(config.to_owned());
        let mut state = State::default();
        for name in unset {
            state.variables.insert(name.clone(), Value::Unset);
        }
        let start = Some(vec![Some("start".to_owned())]);
        let script = Rc::new(script.clone());
        let end = shell.file(state, &script, start);
        let at = script.as_source();
        let ended = shell
            .exited
            .into_iter()
            .fold(end, |end, exited| state::joined(end, Some(exited), &at));
        Self {
            state: shell.seen.or(ended).unwrap_or_default(),
            lost: shell.lost,
        }
    }

    /// What a variable holds then.
    pub(crate) fn value(&self, name: &str) -> Value {
        self.state.value(name)
    }

    /// An assignment of a variable that has no effect.
    pub(crate) fn lost(&self, name: &str) -> Option<&Source> {
        let found = self.lost.iter().rev().find(|(lost, _)| lost == name);
        found.map(|(_, source)| source)
    }
}

/// Whether a single line ends inside of quotes, which is a syntax error.
pub(crate) fn is_left_open(line: &str) -> bool {
    !line.contains('\n') && syntax::is_left_open(line)
}

/// What a script does.
pub(crate) fn effects(
    script: &TextFile,
    arguments: Vec<Option<String>>,
    surroundings: &Surroundings,
    (files, dialect): (&dyn Files, Dialect),
) -> Vec<Effect> {
    let mut shell = Shell::new(files, dialect);
    shell.name.clone_from(&surroundings.name);
    let mut state = State {
        directory: surroundings.directory.clone(),
        ..State::default()
    };
    for (name, text) in &surroundings.environment {
        let value = Value::Text(text.clone(), script.as_source());
        state.variables.insert(name.clone(), value);
    }
    let first = script.text.lines().next().unwrap_or_default();
    state.stops_at_failure = first.starts_with("#!") && first.contains(" -e");
    shell.file(state, &Rc::new(script.clone()), Some(arguments));
    shell.effects
}
