//! Replacing a file so that at any moment it is whole, old or new, and nobody
//! else's change is lost.
//!
//! The new content is written beside the file under a hidden name, with the
//! owner, mode and extended attributes of the old one, and the two change
//! places. What was displaced is then looked at: if it is not what the plan had
//! seen, they change places again.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, Error, Result, bail, ensure};
use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, UTIME_OMIT,
        Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat, fsync, futimens,
        ioctl_getflags, linkat, mkdirat, openat, renameat, renameat_with, statat, unlinkat,
    },
    io::Errno,
};
use serde::{Deserialize, Serialize};

/// Files below the root of a tree. No symbolic link is followed.
#[derive(Debug)]
pub struct Tree {
    path: PathBuf,
    root: OwnedFd,
}

/// What a file is, apart from what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permissions, with the three special bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was changed last: seconds since 1970.
    pub modified: i64,
    /// The nanoseconds to that.
    pub nanoseconds: u32,
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
            .with_context(|| format!("{} is no file", path.display()))?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let directory = self.directory(parent).map_err(|error| {
            let link = matches!(
                error.raw_os_error().map(Errno::from_raw_os_error),
                Some(Errno::LOOP | Errno::NOTDIR)
            );
            let hint = if link {
                ": a symbolic link has taken the place of a directory; nothing is written through it"
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
                        "cannot make the directory {}{}",
                        self.outside(&here).display(),
                        hint(error)
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
                "{} is a symbolic link now: nothing is written through it; run it again to plan anew",
                shown.display()
            ),
            file => File::from(file.with_context(|| format!("cannot read {}", shown.display()))?),
        };
        let status = fstat(&file).with_context(|| format!("cannot read {}", shown.display()))?;
        ensure!(
            FileType::from_raw_mode(status.st_mode) == FileType::RegularFile,
            "{} is no regular file: it is left alone",
            shown.display()
        );
        let mut content = Vec::new();
        (&file)
            .read_to_end(&mut content)
            .with_context(|| format!("cannot read {}", shown.display()))?;
        let present = Present {
            content,
            attributes: attributes(&status),
        };
        Ok(Some((present, Original { file, status })))
    }

    /// Puts something in the place of a file, if that is still what is expected
    /// (`None`: nothing). `temporary` is the hidden name beside it that is used.
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
                "cannot make the change of {} permanent",
                place.shown.display()
            )
        })
    }

    /// Removes what a replacement that was cut off has left under its hidden
    /// name: something that is `known`, or the beginning of it. Says whether
    /// something else is there.
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

/// A file that is open, and how it was found.
struct Original {
    file: File,
    status: Stat,
}

impl Original {
    /// Whether this is it, and was not written to since.
    fn is_still(&self, other: &Stat) -> bool {
        let same = |status: &Stat| {
            (
                status.st_dev,
                status.st_ino,
                status.st_size,
                status.st_mtime,
                status.st_mtime_nsec,
                status.st_mode,
            )
        };
        same(&self.status) == same(other)
    }
}

/// Where a file is replaced.
struct Place {
    shown: PathBuf,
    directory: OwnedFd,
    name: OsString,
    temporary: OsString,
}

impl Place {
    fn changed(&self) -> Error {
        Error::msg(format!(
            "{} is not what it was when the plan was made: it is left as it is now; run it again \
             to plan anew",
            self.shown.display()
        ))
    }

    /// Says what could not be done, and why not if the cause is an odd one.
    fn failed(&self, error: Errno, doing: &str) -> Error {
        let hint = match error {
            Errno::PERM | Errno::ACCESS if self.is_immutable() => {
                ": it is immutable; chattr -i lifts that"
            }
            _ => hint(error),
        };
        Error::new(io::Error::from(error))
            .context(format!("cannot {doing} {}{hint}", self.shown.display()))
    }

    /// Whether the file or its directory may not be changed (`chattr +i`).
    fn is_immutable(&self) -> bool {
        let immutable = |fd: &OwnedFd| {
            ioctl_getflags(fd).is_ok_and(|flags| flags.contains(rustix::fs::IFlags::IMMUTABLE))
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        immutable(&self.directory)
            || openat(&self.directory, &self.name, flags, Mode::empty())
                .is_ok_and(|file| immutable(&file))
    }

    /// Writes the new file under its hidden name, to the disk.
    fn write(
        &self,
        content: &[u8],
        mode: u32,
        attributes: Option<Attributes>,
        original: Option<&Original>,
    ) -> Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let private = Mode::from_raw_mode(0o600);
        let new = openat(&self.directory, &self.temporary, flags, private)
            .map_err(|error| self.failed(error, "write beside"))?;
        let file = File::from(new);
        let filled = self.fill(&file, content, mode, attributes, original);
        if filled.is_err() {
            self.forget();
        }
        filled
    }

    /// Removes what was written here, and never what was displaced.
    fn forget(&self) {
        // The error that led here is the one to be told.
        let _ = unlinkat(&self.directory, &self.temporary, AtFlags::empty());
    }

    fn fill(
        &self,
        mut file: &File,
        content: &[u8],
        mode: u32,
        restored: Option<Attributes>,
        original: Option<&Original>,
    ) -> Result<()> {
        let failed = |error| self.failed(error, "write beside");
        file.write_all(content).map_err(|error| {
            let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            self.failed(error, "write the new content of")
        })?;
        let wanted = restored.or_else(|| {
            let original = original?;
            Some(attributes(&original.status))
        });
        let now = fstat(file).map_err(failed)?;
        if let Some(wanted) = wanted
            && (wanted.uid, wanted.gid) != (now.st_uid, now.st_gid)
        {
            fchown(
                file,
                Some(Uid::from_raw(wanted.uid)),
                Some(Gid::from_raw(wanted.gid)),
            )
            .map_err(|error| self.failed(error, "keep the owner of"))?;
        }
        // After the owner, whose change takes special bits away.
        let mode = wanted.map_or(mode, |wanted| wanted.mode);
        fchmod(file, Mode::from_raw_mode(mode))
            .map_err(|error| self.failed(error, "keep the mode of"))?;
        if let Some(original) = original {
            self.copy_extended(&original.file, file)?;
        }
        if let Some(restored) = restored {
            let times = Timestamps {
                last_access: Timespec {
                    tv_sec: 0,
                    tv_nsec: UTIME_OMIT,
                },
                last_modification: Timespec {
                    tv_sec: restored.modified,
                    tv_nsec: restored.nanoseconds.into(),
                },
            };
            futimens(file, &times).map_err(failed)?;
        }
        fsync(file).map_err(|error| self.failed(error, "write the new content of"))
    }

    /// Extended attributes: the label of `SELinux`, access control lists.
    fn copy_extended(&self, from: &File, to: &File) -> Result<()> {
        let failed = |error| self.failed(error, "keep the extended attributes of");
        let mut names = vec![0_u8; 1 << 16];
        let length = match flistxattr(from, &mut names) {
            Err(Errno::OPNOTSUPP) => return Ok(()),
            length => length.map_err(failed)?,
        };
        let names = names.get(..length).unwrap_or_default();
        for name in names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
        {
            let mut value = vec![0_u8; 1 << 16];
            let length = fgetxattr(from, name, &mut value).map_err(failed)?;
            let value = value.get(..length).unwrap_or_default();
            fsetxattr(to, name, value, XattrFlags::empty()).map_err(failed)?;
        }
        Ok(())
    }

    /// The new file takes the place of the old one.
    fn put(&self, original: Option<&Original>) -> Result<()> {
        let failed = |error| {
            self.forget();
            self.failed(error, "replace")
        };
        let Some(original) = original else {
            let put = self.put_new();
            if put.is_err() {
                self.forget();
            }
            return put;
        };
        if let Err(error) = self.check(original) {
            self.forget();
            return Err(error);
        }
        let exchanged = renameat_with(
            &self.directory,
            &self.temporary,
            &self.directory,
            &self.name,
            RenameFlags::EXCHANGE,
        );
        match exchanged {
            Ok(()) => {
                let displaced = statat(&self.directory, &self.temporary, AtFlags::SYMLINK_NOFOLLOW);
                if !displaced.is_ok_and(|displaced| original.is_still(&displaced)) {
                    self.put_back()?;
                    self.forget();
                    return Err(self.changed());
                }
                unlinkat(&self.directory, &self.temporary, AtFlags::empty())
                    .map_err(|error| self.failed(error, "remove what was in the place of"))
            }
            // An old kernel, or a file system that cannot do it.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => renameat(
                &self.directory,
                &self.temporary,
                &self.directory,
                &self.name,
            )
            .map_err(failed),
            Err(error) => Err(failed(error)),
        }
    }

    /// Somebody else's file goes back to where it was.
    fn put_back(&self) -> Result<()> {
        renameat_with(
            &self.directory,
            &self.temporary,
            &self.directory,
            &self.name,
            RenameFlags::EXCHANGE,
        )
        .map_err(|error| self.failed(error, "give back"))
    }

    fn put_new(&self) -> Result<()> {
        let renamed = renameat_with(
            &self.directory,
            &self.temporary,
            &self.directory,
            &self.name,
            RenameFlags::NOREPLACE,
        );
        match renamed {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                linkat(
                    &self.directory,
                    &self.temporary,
                    &self.directory,
                    &self.name,
                    AtFlags::empty(),
                )
                .map_err(|error| self.not_made(error))?;
                unlinkat(&self.directory, &self.temporary, AtFlags::empty())
                    .map_err(|error| self.failed(error, "make"))
            }
            renamed => renamed.map_err(|error| self.not_made(error)),
        }
    }

    fn not_made(&self, error: Errno) -> Error {
        match error {
            Errno::EXIST => self.changed(),
            error => self.failed(error, "make"),
        }
    }

    /// Takes a file away: it first changes its name, so that it can be looked at
    /// and given back.
    fn take_away(&self, original: Option<&Original>) -> Result<()> {
        let Some(original) = original else {
            return Ok(());
        };
        self.check(original)?;
        let failed = |error| self.failed(error, "remove");
        renameat(
            &self.directory,
            &self.name,
            &self.directory,
            &self.temporary,
        )
        .map_err(failed)?;
        let displaced =
            statat(&self.directory, &self.temporary, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        if !original.is_still(&displaced) {
            self.put_new()?;
            return Err(self.changed());
        }
        unlinkat(&self.directory, &self.temporary, AtFlags::empty()).map_err(failed)
    }

    /// Whether what is there is still what was read.
    fn check(&self, original: &Original) -> Result<()> {
        let now = statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        if now.is_ok_and(|now| original.is_still(&now)) {
            Ok(())
        } else {
            Err(self.changed())
        }
    }
}

/// What to do about an error.
const fn hint(error: Errno) -> &'static str {
    match error {
        Errno::ROFS => ": its file system is mounted read-only",
        Errno::NOSPC | Errno::DQUOT => ": there is no room left",
        Errno::ACCESS | Errno::PERM => ": run as root",
        _ => "",
    }
}

fn attributes(status: &Stat) -> Attributes {
    Attributes {
        mode: status.st_mode & 0o7777,
        uid: status.st_uid,
        gid: status.st_gid,
        modified: status.st_mtime,
        nanoseconds: u32::try_from(status.st_mtime_nsec).unwrap_or(0),
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
pub(super) fn is(error: &Error, errno: Errno) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.raw_os_error() == Some(errno.raw_os_error()))
}
