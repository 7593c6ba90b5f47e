//! The way from a path to the file or directory that it leads to.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, fstat, openat, readlinkat},
    io::Errno,
};

use crate::facts::root::overlay::{Overlay, Planned, plans_below};

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// What a path leads to.
pub(super) enum Place {
    /// A directory.
    Directory {
        /// Where it is, without any symbolic link.
        real: PathBuf,
        /// None for the tree's top, or for a directory that is only planned.
        directory: Option<OwnedFd>,
    },
    /// Something else: a file, a device.
    File {
        /// Where it is, without any symbolic link.
        real: PathBuf,
        /// None for the directory that is the tree's top, or only planned.
        parent: Option<OwnedFd>,
        /// Its name there.
        name: OsString,
    },
}

/// A walk along a path, name by name.
pub(super) struct Walk<'a> {
    top: &'a OwnedFd,
    overlay: &'a Overlay,
    /// Names that are still to be followed.
    ahead: VecDeque<OsString>,
    /// Directories that the walk is in, the innermost last; none for one that is
    /// only planned.
    entered: Vec<(OsString, Option<OwnedFd>)>,
    /// Symbolic links that were followed.
    links: usize,
    /// Whether the last name of the path is such a link.
    ends_in_link: bool,
    /// What is not there, in a directory that is.
    missing: Option<PathBuf>,
}

/// What one name leads to.
enum Step {
    /// The walk goes on.
    On,
    /// The walk ends here; none: the path leads nowhere.
    End(Option<Place>),
}

impl<'a> Walk<'a> {
    /// Begins at the top of a tree.
    pub(super) fn new(top: &'a OwnedFd, overlay: &'a Overlay, path: &Path) -> Self {
        Self {
            top,
            overlay,
            ahead: names_of(path),
            entered: Vec::new(),
            links: 0,
            ends_in_link: false,
            missing: None,
        }
    }

    /// Where a file would be made that a path leads to, through symbolic links that lead
    /// to nothing. None: a directory on the way is missing.
    pub(super) fn new_file(mut self) -> io::Result<Option<PathBuf>> {
        if self.walk()?.is_none() && self.missing.is_none() && self.ends_in_link {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "a symbolic link to a directory that does not exist; delete the link or make the \
                 directory",
            ));
        }
        Ok(self.missing)
    }

    /// Walks to the end. `None`: the path leads nowhere.
    pub(super) fn go(mut self) -> io::Result<Option<Place>> {
        self.walk()
    }

    fn walk(&mut self) -> io::Result<Option<Place>> {
        while let Some(name) = self.ahead.pop_front() {
            if name == ".." {
                self.entered.pop();
                continue;
            }
            let step = match self.planned(&name) {
                Some(end) => end,
                None => self.step(name)?,
            };
            if let Step::End(place) = step {
                return Ok(place);
            }
        }
        let real = self.real();
        let directory = self.leave();
        Ok(Some(Place::Directory { real, directory }))
    }

    /// The end of the walk at a file that is planned or masked.
    fn planned(&self, name: &OsStr) -> Option<Step> {
        let real = self.real().join(name);
        let is_end = match self.overlay.get(&real) {
            Some(Planned::Removed) => false,
            Some(Planned::File { .. }) => self.ahead.is_empty(),
            None if real == Path::new("/dev/null") => true,
            None => return None,
        };
        Some(Step::End(is_end.then(|| Place::File {
            real,
            parent: None,
            name: name.to_owned(),
        })))
    }

    /// Follows one name on the disk.
    fn step(&mut self, name: OsString) -> io::Result<Step> {
        let real = self.real().join(&name);
        let opened = match self.open(&name) {
            Err(Errno::NOENT) if self.may_be_missing(&real) => {
                self.entered.push((name, None));
                return Ok(Step::On);
            }
            Err(error @ (Errno::NOENT | Errno::NOTDIR)) => {
                if error == Errno::NOENT && self.ahead.is_empty() {
                    self.missing = Some(real);
                }
                return Ok(Step::End(None));
            }
            opened => opened?,
        };
        match FileType::from_raw_mode(fstat(&opened)?.st_mode) {
            FileType::Directory => self.entered.push((name, Some(opened))),
            FileType::Symlink => self.follow(&opened)?,
            _ if self.ahead.is_empty() => {
                let parent = self.leave();
                return Ok(Step::End(Some(Place::File { real, parent, name })));
            }
            _ => return Ok(Step::End(None)),
        }
        Ok(Step::On)
    }

    /// Opens what a name leads to, in the directory that the walk is in.
    fn open(&self, name: &OsStr) -> rustix::io::Result<OwnedFd> {
        let parent = match self.entered.last() {
            None => self.top,
            Some((_, directory)) => directory.as_ref().ok_or(Errno::NOENT)?,
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(parent, name, flags, Mode::empty())
    }

    /// Whether the walk goes through a directory that is not there: files are
    /// planned in it, or it leads to `/dev/null`. A copied tree has no devices, but
    /// links to this one: masked files.
    fn may_be_missing(&self, real: &Path) -> bool {
        plans_below(self.overlay, real)
            || (real == Path::new("/dev") && self.ahead.iter().eq(["null"]))
    }

    /// Puts the names that a symbolic link consists of before those ahead.
    fn follow(&mut self, link: &OwnedFd) -> io::Result<()> {
        self.links += 1;
        self.ends_in_link |= self.ahead.is_empty();
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = readlinkat(link, "", Vec::new())?;
        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
        if target.is_absolute() {
            self.entered.clear();
        }
        for name in names_of(target).into_iter().rev() {
            self.ahead.push_front(name);
        }
        Ok(())
    }

    /// Where the walk is, without any symbolic link.
    fn real(&self) -> PathBuf {
        let mut path = PathBuf::from("/");
        path.extend(self.entered.iter().map(|(name, _)| name));
        path
    }

    /// The directory that the walk is in; none for the top of the tree, or for one
    /// that is only planned.
    fn leave(&mut self) -> Option<OwnedFd> {
        self.entered.pop().and_then(|(_, directory)| directory)
    }
}

/// The names that a path is made of.
fn names_of(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}
