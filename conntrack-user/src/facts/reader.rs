//! Reading a tree and keeping account of what could not be read.

use std::{borrow::Borrow, cell::RefCell, fmt, fs, io, path::PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::facts::{
    root::{Found, Root},
    snapshot::Snapshot,
    unreadable::{self, Unreadable},
};

/// A line of a file, as what something was found or decided by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Path inside the tree, without symbolic links.
    pub file: PathBuf,
    /// Number of the line, from 1.
    pub line: u32,
    /// The line, without white space around it.
    pub text: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A text file that was read.
#[derive(Clone, Debug)]
pub(crate) struct TextFile {
    /// Path inside the tree, without symbolic links.
    pub(crate) file: PathBuf,
    /// What is in it; what is no UTF-8 is replaced.
    pub(crate) text: String,
    /// Whether anybody may execute it.
    pub(crate) executable: bool,
}

impl TextFile {
    /// The lines with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u32, &str)> {
        (1..).zip(self.text.lines())
    }

    /// A line as a source.
    pub(crate) fn source(&self, line: u32, text: &str) -> Source {
        Source {
            file: self.file.clone(),
            line,
            text: text.trim().to_owned(),
        }
    }

    /// The first line that does.
    pub(crate) fn first(&self, does: impl Fn(&str) -> bool) -> Option<Source> {
        self.lines()
            .find(|(_, line)| does(line))
            .map(|(number, line)| self.source(number, line))
    }

    /// The first line, for a file that is evidence by being there.
    pub(crate) fn as_source(&self) -> Source {
        let first = self.text.lines().next().unwrap_or_default();
        self.source(1, first)
    }
}

/// Reads a tree; what cannot be read is noted, and taken as absent by the
/// caller.
pub(crate) struct Reader<'r> {
    tree: Snapshot<'r>,
    unreadable: RefCell<Vec<Unreadable>>,
    absent: RefCell<Vec<(String, Source)>>,
}

impl<'r> Reader<'r> {
    pub(crate) fn new(root: &'r Root) -> Self {
        Self {
            tree: Snapshot::of(root),
            unreadable: RefCell::new(Vec::new()),
            absent: RefCell::new(Vec::new()),
        }
    }

    /// Whether this is the running host itself.
    pub(crate) fn is_this_host(&self) -> bool {
        self.tree.root().is_this_host()
    }

    /// What could not be read so far.
    pub(crate) fn unreadable(self) -> Vec<Unreadable> {
        let mut unreadable = self.unreadable.into_inner();
        unreadable.sort();
        unreadable.dedup();
        unreadable
    }

    /// A file's text.
    pub(crate) fn text(&self, path: &str) -> Option<TextFile> {
        self.text_of(path, self.tree.read(path))
    }

    fn text_of<F: Borrow<Found>>(
        &self,
        path: &str,
        read: io::Result<Option<F>>,
    ) -> Option<TextFile> {
        let found = self.noted(path, read)?;
        let found = found.borrow();
        if found.content.is_empty() && self.is_emptied(path) {
            self.unreadable.borrow_mut().push(Unreadable {
                path: path.into(),
                why: "empty: copied with tar, which sees procfs files as empty; copy with cp"
                    .to_owned(),
                remedy: unreadable::COPY_AGAIN,
            });
            return None;
        }
        Some(TextFile {
            file: found.file.clone(),
            text: String::from_utf8_lossy(&found.content).into_owned(),
            executable: found.executable,
        })
    }

    /// A file's text, as [`Reader::file`], of something that is run: of what is no
    /// script only the beginning, and nothing of what is larger than any script.
    pub(crate) fn program(&self, path: &str) -> Option<TextFile> {
        match self.tree.read_program(path) {
            Err(error) if is_directory_or_too_large(&error) => None,
            read => self.text_of(path, read),
        }
    }

    /// Whether a file that is empty was not so where it came from: none of those
    /// in procfs is that are read here, but each has a length of 0 there, which
    /// tar goes by.
    fn is_emptied(&self, path: &str) -> bool {
        !self.tree.root().is_this_host() && path.starts_with("/proc/")
    }

    /// A file's text, as [`Reader::text`]; a directory is taken as no file.
    pub(crate) fn file(&self, path: &str) -> Option<TextFile> {
        match self.tree.read(path) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => None,
            read => self.text_of(path, read),
        }
    }

    /// A file of a process. It may end while it is looked at, or be somebody
    /// else's: then nothing is known of it. Of this host, `root/` is the
    /// process's own root.
    pub(crate) fn of_process(&self, pid: &str, path: &str) -> Option<TextFile> {
        let path = format!("/proc/{pid}/{path}");
        let content = if self.tree.root().is_this_host() {
            fs::read(&path).ok()?
        } else {
            self.tree.root().read(&path).ok()??.content
        };
        Some(TextFile {
            file: path.into(),
            text: String::from_utf8_lossy(&content).replace('\0', " "),
            executable: false,
        })
    }

    /// A script or a file that a line names is not in the tree: what it does is not known.
    pub(crate) fn misses(&self, path: &str, line: &Source) {
        self.unreadable.borrow_mut().push(Unreadable {
            path: path.into(),
            why: format!("it is not in this tree, though {line} names it"),
            remedy: unreadable::COPY_AGAIN,
        });
    }

    /// A program that a line runs is not in the tree; nothing says that it is about the
    /// limit.
    pub(crate) fn lacks(&self, path: &str, line: &Source) {
        let mut absent = self.absent.borrow_mut();
        if !absent.iter().any(|(known, _)| known == path) {
            absent.push((path.to_owned(), line.clone()));
        }
    }

    /// Programs that are not in the tree, so far.
    pub(crate) fn absent_programs(&self) -> Vec<(String, Source)> {
        self.absent.borrow().clone()
    }

    /// What was made of a text; that it could not be understood is noted.
    pub(crate) fn understood<T: Default>(&self, path: &str, outcome: Result<T>) -> T {
        outcome.unwrap_or_else(|error| {
            self.unreadable.borrow_mut().push(Unreadable {
                path: path.into(),
                why: format!("{error:#}"),
                remedy: unreadable::NOT_UNDERSTOOD,
            });
            T::default()
        })
    }

    /// Names in a directory, sorted by byte; none if there is no such
    /// directory.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let names = self.noted(path, self.tree.names(path));
        names.map_or_else(Vec::new, |names| names.to_vec())
    }

    /// The same; none if there is no such directory.
    pub(crate) fn names_if_directory(&self, path: &str) -> Option<Vec<String>> {
        let names = self.tree.names(path).ok().flatten();
        names.map(|names| names.to_vec())
    }

    /// Names of what is in a directory and is one itself.
    pub(crate) fn directories(&self, path: &str) -> Vec<String> {
        let is_directory =
            |name: &String| matches!(self.tree.names(&format!("{path}/{name}")), Ok(Some(_)));
        let mut names = self.names(path);
        names.retain(is_directory);
        names
    }

    /// Whether something is there.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.noted(path, self.tree.exists(path).map(|is| is.then_some(())))
            .is_some()
    }

    /// The owner of a file, and its mode; none of one that is not there, or only
    /// planned.
    pub(crate) fn permissions(&self, path: &str) -> Option<(u32, u32)> {
        self.noted(path, self.tree.root().permissions(path))
    }

    /// Where a path leads to.
    pub(crate) fn resolve(&self, path: &str) -> Option<PathBuf> {
        self.noted(path, self.tree.resolve(path))
    }

    fn noted<T>(&self, path: &str, outcome: io::Result<Option<T>>) -> Option<T> {
        outcome.unwrap_or_else(|error| {
            let unreadable = Unreadable::of(path, &error);
            self.unreadable.borrow_mut().push(unreadable);
            None
        })
    }
}

fn is_directory_or_too_large(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::IsADirectory | io::ErrorKind::FileTooLarge
    )
}
