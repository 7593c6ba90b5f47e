//! Copies of trees, what is in them to the byte, and the program run on them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use conntrack_user::{
    facts::{Facts, root::Root},
    survival::{Start, Survival, simulate},
};
use tempfile::TempDir;

/// The limit that is asked for, so that no tree has it.
pub(crate) const LIMIT: u64 = 1_500_000;

/// Where fixes are kept.
pub(crate) const KEPT: &str = "/var/lib/ctdrop-fixes";

/// What a path is: a file with mode, time and content, a link, or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File {
        mode: u32,
        modified: (i64, i64),
        content: Vec<u8>,
    },
    Link(PathBuf),
    Directory(u32),
}

pub(crate) type Snapshot = BTreeMap<PathBuf, Node>;

/// A copy of a tree.
pub(crate) struct Tree {
    directory: TempDir,
}

impl Tree {
    pub(crate) fn copy_of(name: &str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/trees")
            .join(name);
        let directory = tempfile::tempdir().unwrap();
        copy(&source, directory.path());
        Self { directory }
    }

    pub(crate) fn empty() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// Everything in it but what is kept of fixes.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut all = self.whole();
        all.retain(|path, _| !path.starts_with(KEPT) && !Path::new(KEPT).starts_with(path));
        all
    }

    /// Everything in it.
    pub(crate) fn whole(&self) -> Snapshot {
        let mut all = Snapshot::new();
        look(self.path(), Path::new("/"), &mut all);
        all
    }

    pub(crate) fn facts(&self) -> Facts {
        Facts::read(&Root::open(self.path()).unwrap()).unwrap()
    }

    pub(crate) fn survival(&self) -> Survival {
        simulate(&self.facts(), Start::AfterBoot)
    }

    pub(crate) fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_ctdrop"));
        program
            .arg(command)
            .arg("--root")
            .arg(self.path())
            .args(arguments)
            .env_remove("CLICOLOR_FORCE");
        program
    }

    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> Output {
        self.command(command, arguments).output().unwrap()
    }

    /// Runs it, and wants it to succeed.
    pub(crate) fn done(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, arguments);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{command}: {err}\n{out}");
        out
    }

    /// Runs it, and wants it to fail with a message that has all these words.
    pub(crate) fn fails(&self, command: &str, arguments: &[&str], words: &[&str]) -> String {
        failed(&self.run(command, arguments), words)
    }

    pub(crate) fn fix(&self) -> String {
        self.done("fix", &["--to", "1500000", "--yes"])
    }
}

pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

pub(crate) fn failed(output: &Output, words: &[&str]) -> String {
    let (_, err) = texts(output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    for word in words {
        assert!(err.contains(word), "{word:?} is not in: {err}");
    }
    err
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            symlink(fs::read_link(&from).unwrap(), &to).unwrap();
        } else if kind.is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

fn look(at: &Path, inside: &Path, all: &mut Snapshot) {
    for entry in fs::read_dir(at).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let inside = inside.join(entry.file_name());
        let status = fs::symlink_metadata(&path).unwrap();
        let mode = status.permissions().mode() & 0o7777;
        let node = if status.is_symlink() {
            Node::Link(fs::read_link(&path).unwrap())
        } else if status.is_dir() {
            look(&path, &inside, all);
            Node::Directory(mode)
        } else {
            Node::File {
                mode,
                modified: (status.mtime(), status.mtime_nsec()),
                content: fs::read(&path).unwrap(),
            }
        };
        all.insert(inside, node);
    }
}
