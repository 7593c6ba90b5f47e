//! Replacing a file so that it is whole at any moment, old or new, and no change of
//! others is lost.
//!
//! The new content is written beside the file under a hidden name, with the
//! owner, mode and extended attributes of the old one, and both change places. If
//! the displaced file is not the one that the plan was made for, they change back.

mod attributes;
mod place;

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, Error, Result, bail, ensure};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, fstat, fsync, mkdirat, openat, unlinkat},
    io::Errno,
    process::geteuid,
};

pub use crate::apply::file::attributes::Attributes;
pub(crate) use crate::apply::file::place::hint;
use crate::apply::file::place::{Original, Place};

/// Files below the root of a tree. No symbolic link is followed.
#[derive(Debug)]
pub struct Tree {
    path: PathBuf,
    root: OwnedFd,
}

/// A file as it is.
#[derive(Clone, Debug)]
pub struct Present {
    /// What is in it.
    pub content: Vec<u8>,
    /// The rest.
    pub attributes: Attributes,
}

/// What is to be in the place of a file.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// A file with this in it. The attributes are those of the old file where
    /// there is one and none are given.
    File {
        /// What is in it.
        content: &'a [u8],
        /// Permissions of a file that is new.
        mode: u32,
        /// Owner, permissions and time to be restored.
        attributes: Option<Attributes>,
    },
    /// Nothing.
    Nothing,
}

impl Tree {
    /// Opens the root of a tree.
    pub fn open(path: &Path) -> Result<Self> {
        let root = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            root,
        })
    }

    /// A path inside the tree as people see it from outside.
    pub fn outside(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix("/").unwrap_or(path);
        self.path.join(inside)
    }

    /// Opens a directory without following links.
    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory = openat(&self.root, ".", flags, Mode::empty())?;
        for component in path.components() {
            if let Component::Normal(name) = component {
                directory = openat(&directory, name, flags, Mode::empty())?;
            }
        }
        Ok(directory)
    }

    fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        let name = path
            .file_name()
            .with_context(|| format!("{} is not a file", path.display()))?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let directory = self.directory(parent).map_err(|error| {
            let link = matches!(
                error.raw_os_error().map(Errno::from_raw_os_error),
                Some(Errno::LOOP | Errno::NOTDIR)
            );
            let hint = if link {
                ": a directory in this path is now a symbolic link, and ctdrop does not write through links"
            } else {
                ""
            };
            Error::new(error).context(format!(
                "cannot open {}{hint}",
                self.outside(parent).display()
            ))
        })?;
        Ok((directory, name))
    }

    /// Makes the directories that are missing.
    pub fn make_directories(&self, path: &Path) -> Result<()> {
        let mut here = PathBuf::from("/");
        for component in path.components() {
            let Component::Normal(name) = component else {
                continue;
            };
            let parent = self
                .directory(&here)
                .with_context(|| format!("cannot open {}", self.outside(&here).display()))?;
            here.push(name);
            match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    sync_directory(&parent)?;
                }
                Err(Errno::EXIST) => {}
                Err(error) => {
                    return Err(Error::new(io::Error::from(error)).context(format!(
                        "cannot create the directory {}{}",
                        self.outside(&here).display(),
                        hint(error, geteuid().is_root())
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whether there is a directory.
    pub fn has_directory(&self, path: &Path) -> Result<bool> {
        match self.directory(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => {
                Err(Error::new(error)
                    .context(format!("cannot open {}", self.outside(path).display())))
            }
        }
    }

    /// Removes a directory if it is empty.
    pub fn remove_directory(&self, path: &Path) -> Result<()> {
        let (parent, name) = match self.parent(path) {
            // What it was in is gone, too.
            Err(error) if is(&error, Errno::NOENT) => return Ok(()),
            parent => parent?,
        };
        match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            // Before it looks for it, the kernel says that it may not write there.
            Err(Errno::ROFS) if !self.has_directory(path)? => Ok(()),
            Err(error) => Err(Error::new(io::Error::from(error)).context(format!(
                "cannot remove the directory {}",
                self.outside(path).display()
            ))),
        }
    }

    /// Reads a regular file. `None`: there is none.
    pub fn read(&self, path: &Path) -> Result<Option<Present>> {
        match self.parent(path) {
            Ok((directory, name)) => Ok(self
                .open_file(&directory, name, path)?
                .map(|(present, _)| present)),
            Err(error) if is(&error, Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_file(
        &self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &Path,
    ) -> Result<Option<(Present, Original)>> {
        let shown = self.outside(path);
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => bail!(
                "{} is now a symbolic link, and ctdrop does not write through links; run ctdrop fix again",
                shown.display()
            ),
            file => File::from(file.with_context(|| format!("cannot read {}", shown.display()))?),
        };
        let status = fstat(&file).with_context(|| format!("cannot read {}", shown.display()))?;
        ensure!(
            FileType::from_raw_mode(status.st_mode) == FileType::RegularFile,
            "{} is not a regular file, so ctdrop does not change it",
            shown.display()
        );
        let mut content = Vec::new();
        (&file)
            .read_to_end(&mut content)
            .with_context(|| format!("cannot read {}", shown.display()))?;
        let present = Present {
            content,
            attributes: Attributes::of(&status),
        };
        Ok(Some((present, Original { file, status })))
    }

    /// Replaces a file if it still has the expected content (`None`: it does not
    /// exist). `temporary` is the hidden name for the new file beside it.
    pub fn replace(
        &self,
        path: &Path,
        expected: Option<&[u8]>,
        wanted: Wanted<'_>,
        temporary: &str,
    ) -> Result<()> {
        let (directory, name) = self.parent(path)?;
        let place = Place {
            shown: self.outside(path),
            directory,
            name: name.to_owned(),
            temporary: temporary.into(),
        };
        let original = match (self.open_file(&place.directory, name, path)?, expected) {
            (None, None) => None,
            (Some((present, original)), Some(expected)) if present.content == expected => {
                Some(original)
            }
            _ => return Err(place.changed()),
        };
        match wanted {
            Wanted::File {
                content,
                mode,
                attributes,
            } => {
                place.write(content, mode, attributes, original.as_ref())?;
                place.put(original.as_ref())?;
            }
            Wanted::Nothing => place.take_away(original.as_ref())?,
        }
        sync_directory(&place.directory).with_context(|| {
            format!(
                "cannot flush the change of {} to the disk",
                place.shown.display()
            )
        })
    }

    /// Removes the temporary file of an interrupted replacement, if its content is
    /// `known`, or the beginning of it. Returns whether it has other content.
    pub fn clean(&self, path: &Path, temporary: &str, known: &[&[u8]]) -> Result<bool> {
        let beside = path.with_file_name(temporary);
        let Some(left) = self.read(&beside)? else {
            return Ok(false);
        };
        if !known.iter().any(|known| known.starts_with(&left.content)) {
            return Ok(true);
        }
        let (directory, name) = self.parent(&beside)?;
        unlinkat(&directory, name, AtFlags::empty())
            .with_context(|| format!("cannot remove {}", self.outside(&beside).display()))?;
        Ok(false)
    }
}

fn sync_directory(directory: &OwnedFd) -> io::Result<()> {
    match fsync(directory) {
        // A file system that has nothing to do for it.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether an error comes from this one.
pub(crate) fn is(error: &Error, errno: Errno) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.raw_os_error() == Some(errno.raw_os_error()))
}
