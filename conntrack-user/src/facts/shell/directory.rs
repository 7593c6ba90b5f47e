//! The working directory, and programs that print a path.

use crate::facts::{
    reader::Source,
    shell::{run::Shell, state::State},
};

impl Shell<'_> {
    /// `cd`
    pub(super) fn change_directory(
        &mut self,
        state: &mut State,
        words: Option<&[&str]>,
        at: &Source,
    ) {
        let words = match words {
            Some(["-P" | "-L" | "-e" | "--", rest @ ..]) => Some(rest),
            words => words,
        };
        let path = match words {
            Some([path]) if !path.starts_with('-') => absolute(state, path),
            _ => None,
        };
        // One that is not there is an error, after which most scripts are of no use: the
        // directory is taken for changed.
        state.status = path
            .as_deref()
            .and_then(|path| self.files.exists(path))
            .filter(|there| *there);
        let known = path.clone().filter(|_| state.status == Some(true));
        self.assign(state, "PWD", known, at);
        self.assign(state, "OLDPWD", None, at);
        state.directory = path;
    }

    /// What `dirname`, `basename`, `readlink -f` and `realpath` print.
    pub(super) fn path_printed(
        &self,
        state: &State,
        program: &str,
        arguments: &[String],
    ) -> Option<String> {
        let program = program.rsplit('/').next().unwrap_or(program);
        let arguments = match arguments {
            [mark, rest @ ..] if mark == "--" => rest,
            arguments => arguments,
        };
        let printed = match (program, arguments) {
            ("dirname", [path]) => match path.trim_end_matches('/').rsplit_once('/') {
                Some(("", _)) => "/".to_owned(),
                Some((directory, _)) => directory.trim_end_matches('/').to_owned(),
                None if path.starts_with('/') => "/".to_owned(),
                None => ".".to_owned(),
            },
            ("basename", [path]) => path.trim_end_matches('/').rsplit('/').next()?.to_owned(),
            ("realpath", [path]) => self.real(state, path)?,
            ("readlink", [option, path])
                if matches!(option.as_str(), "-f" | "-e" | "-m" | "--canonicalize") =>
            {
                self.real(state, path)?
            }
            _ => return None,
        };
        Some(printed + "\n")
    }

    /// A file's path without symbolic links.
    fn real(&self, state: &State, path: &str) -> Option<String> {
        let path = absolute(state, path)?;
        let file = self.files.read(&path)?;
        Some(file.file.display().to_string())
    }
}

/// A path from the root; none if the working directory is not known.
pub(super) fn absolute(state: &State, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return Some(path.to_owned());
    }
    Some(joined(state.directory.as_deref()?, path))
}

/// A path below a directory, without `.` and `..`.
pub(crate) fn joined(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
