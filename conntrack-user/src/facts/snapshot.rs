//! A tree of which each directory is listed once and each file read once: units and their
//! drop-ins are asked for many times, and most of what is asked for is not there.

use std::{cell::RefCell, collections::HashMap, io, path::PathBuf, rc::Rc};

use crate::facts::root::{Found, Root};

/// Files larger than this are read anew each time.
const KEPT: usize = 1 << 20;

/// What was read of a tree so far.
pub(super) struct Snapshot<'r> {
    root: &'r Root,
    listings: RefCell<HashMap<String, Option<Rc<Vec<String>>>>>,
    files: RefCell<HashMap<String, Option<Rc<Found>>>>,
}

impl<'r> Snapshot<'r> {
    pub(super) fn of(root: &'r Root) -> Self {
        Self {
            root,
            listings: RefCell::default(),
            files: RefCell::default(),
        }
    }

    /// The tree itself.
    pub(super) const fn root(&self) -> &'r Root {
        self.root
    }

    /// As [`Root::read`].
    pub(super) fn read(&self, path: &str) -> io::Result<Option<Rc<Found>>> {
        if let Some(known) = self.files.borrow().get(path) {
            return Ok(known.clone());
        }
        if self.lacks(path) {
            return Ok(None);
        }
        let found = self.root.read(path)?.map(Rc::new);
        if found.as_ref().is_none_or(|it| it.content.len() <= KEPT) {
            let mut files = self.files.borrow_mut();
            files.insert(path.to_owned(), found.clone());
        }
        Ok(found)
    }

    /// As [`Root::read_program`].
    pub(super) fn read_program(&self, path: &str) -> io::Result<Option<Found>> {
        if self.lacks(path) {
            return Ok(None);
        }
        self.root.read_program(path)
    }

    /// As [`Root::names`].
    pub(super) fn names(&self, path: &str) -> io::Result<Option<Rc<Vec<String>>>> {
        if self.lacks(path) {
            return Ok(None);
        }
        self.listing(path)
    }

    /// As [`Root::exists`].
    pub(super) fn exists(&self, path: &str) -> io::Result<bool> {
        Ok(!self.lacks(path) && self.root.exists(path)?)
    }

    /// As [`Root::resolve`].
    pub(super) fn resolve(&self, path: &str) -> io::Result<Option<PathBuf>> {
        if self.lacks(path) {
            return Ok(None);
        }
        self.root.resolve(path)
    }

    fn listing(&self, path: &str) -> io::Result<Option<Rc<Vec<String>>>> {
        if let Some(known) = self.listings.borrow().get(path) {
            return Ok(known.clone());
        }
        let names = self.root.names(path)?.map(Rc::new);
        let mut listings = self.listings.borrow_mut();
        listings.insert(path.to_owned(), names.clone());
        Ok(names)
    }

    /// Whether the directory of a path does not have it. Not told where that cannot be
    /// listed, nor of processes, which come and go.
    fn lacks(&self, path: &str) -> bool {
        let Some((directory, name)) = path.rsplit_once('/') else {
            return false;
        };
        if matches!(name, "" | "." | "..") || path.starts_with("/proc/") {
            return false;
        }
        let directory = if directory.is_empty() { "/" } else { directory };
        let has = |names: &Rc<Vec<String>>| {
            let found = names.binary_search_by(|known| known.as_str().cmp(name));
            found.is_ok()
        };
        self.listing(directory)
            .is_ok_and(|names| !names.as_ref().is_some_and(has))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use super::*;

    #[test]
    fn it_says_what_the_tree_says() {
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        fs::create_dir_all(at("usr/lib/systemd/system")).unwrap();
        fs::write(at("usr/lib/systemd/system/a.service"), "[Unit]\n").unwrap();
        symlink("usr/lib", at("lib")).unwrap();
        symlink("/nothing", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let root = Root::open(tree.path()).unwrap();
        let snapshot = Snapshot::of(&root);
        for path in [
            "/",
            "/lib",
            "/lib/systemd/system",
            "/lib/systemd/system/",
            "/lib/systemd/system/a.service",
            "/lib/systemd/system/b.service",
            "/lib/systemd/system/../system/a.service",
            "/usr/lib/systemd/system/a.service/x",
            "/none/x/y",
            "/dangling",
            "/loop",
            "lib/systemd",
        ] {
            // Once from the tree, and once from memory.
            for _ in 0..2 {
                let kind = |error: io::Error| error.to_string();
                let read = snapshot.read(path).map_err(kind);
                let read = read.map(|found| found.map(|found| (*found).clone()));
                assert_eq!(read, root.read(path).map_err(kind), "{path}");
                let names = snapshot.names(path).map_err(kind);
                let names = names.map(|names| names.map(|names| names.to_vec()));
                assert_eq!(names, root.names(path).map_err(kind), "{path}");
                let exists = snapshot.exists(path).map_err(kind);
                assert_eq!(exists, root.exists(path).map_err(kind), "{path}");
                let resolved = snapshot.resolve(path).map_err(kind);
                assert_eq!(resolved, root.resolve(path).map_err(kind), "{path}");
            }
        }
    }

    #[test]
    fn what_was_read_once_stays() {
        let tree = tempfile::tempdir().unwrap();
        let file = tree.path().join("a");
        fs::write(&file, "1").unwrap();
        let root = Root::open(tree.path()).unwrap();
        let snapshot = Snapshot::of(&root);
        assert_eq!(snapshot.read("/a").unwrap().unwrap().content, b"1");
        fs::write(&file, "2").unwrap();
        assert_eq!(snapshot.read("/a").unwrap().unwrap().content, b"1");
        assert_eq!(snapshot.read("/a").unwrap().unwrap().file, Path::new("/a"));
    }
}
