//! The command of a hook: words, without a shell.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail, ensure};
use rustix::fs::{Access, access};

/// A command as the user gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    text: String,
    program: String,
    arguments: Vec<String>,
}

/// A program that was found, and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<String>,
}

impl Command {
    /// Splits a text into words as a shell does, with quotes, backslashes and comments. All other
    /// special characters of a shell are plain characters.
    ///
    /// # Errors
    ///
    /// What is wrong, and what to give instead.
    pub fn read(text: &str) -> Result<Self, String> {
        let words = shlex::split(text).ok_or(
            "a quote is not closed, or a backslash is the last character: close it or remove it",
        )?;
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty());
        let program = program
            .ok_or("give a program and its arguments, such as \"/usr/local/bin/page oncall\"")?;
        if text.contains('\0') {
            return Err("it has a NUL character: remove it".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            program,
            arguments: words.collect(),
        })
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks that the program can be run.
    ///
    /// # Errors
    ///
    /// There is no such program, or it cannot be run.
    pub fn check(&self) -> Result<()> {
        self.find().map(drop)
    }

    /// Finds the program: in the directories of `PATH` if its name has no slash.
    pub(super) fn find(&self) -> Result<Program> {
        self.find_in(env::var_os("PATH").as_deref())
    }

    fn find_in(&self, directories: Option<&OsStr>) -> Result<Program> {
        let program = self.program.as_str();
        let path = if program.contains('/') {
            let path = Path::new(program);
            ensure!(
                path.exists(),
                "the hook {program} is not there: give the path of a program with --exec or hooks.exec"
            );
            if !is_program(path) {
                bail!(
                    "the hook {program} cannot be run: give a program, and make it executable with \
                     chmod +x {program}"
                );
            }
            std::path::absolute(path)?
        } else {
            let mut all = env::split_paths(directories.unwrap_or_default());
            let found = all.find_map(|directory| {
                let path = directory.join(program);
                is_program(&path).then_some(path)
            });
            let Some(found) = found else {
                bail!(
                    "the hook {program} is in no directory of PATH: give the whole path of a program \
                     with --exec or hooks.exec"
                );
            };
            found
        };
        Ok(Program {
            path,
            arguments: self.arguments.clone(),
        })
    }
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn words_are_split_and_no_shell_reads_them() {
        let command = Command::read(r#"page "on call" $HOME a\ b '*' ; rm"#).unwrap();
        assert_eq!(command.program, "page");
        assert_eq!(
            command.arguments,
            ["on call", "$HOME", "a b", "*", ";", "rm"]
        );
        for (wrong, says) in [
            ("", "give a program"),
            ("''", "give a program"),
            ("page 'x", "close it"),
            ("a\0b", "NUL"),
        ] {
            let error = Command::read(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn a_program_that_cannot_be_run_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("page");
        let error = |text: &str| {
            let command = Command::read(text).unwrap();
            let found = command.find_in(Some(directory.path().as_os_str()));
            found.unwrap_err().to_string()
        };
        let path = file.to_str().unwrap();
        assert!(error(path).contains(&format!("{path} is not there")));
        assert!(error("page").contains("the hook page is in no directory of PATH"));
        fs::write(&file, "#!/bin/sh\n").unwrap();
        assert!(error(path).contains("chmod +x"));
        assert!(error("page").contains("no directory of PATH"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        for text in [format!("{path} a"), "page a".to_owned()] {
            let found = Command::read(&text).unwrap();
            let found = found.find_in(Some(directory.path().as_os_str())).unwrap();
            assert_eq!(found.path, file);
            assert_eq!(found.arguments, ["a"]);
        }
        assert!(error(directory.path().to_str().unwrap()).contains("cannot be run"));
    }
}
