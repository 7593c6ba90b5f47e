//! A file in its directory, and the new one beside it that is to take its place.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write as _},
    os::fd::OwnedFd,
    path::PathBuf,
};

use anyhow::{Error, Result};
use rustix::{
    fs::{
        AtFlags, Gid, IFlags, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, UTIME_OMIT,
        Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat, fsync, futimens,
        ioctl_getflags, linkat, openat, renameat, renameat_with, statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

use crate::apply::file::attributes::Attributes;

/// A file that is open, and how it was found.
pub(crate) struct Original {
    pub(crate) file: File,
    pub(crate) status: Stat,
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
pub(crate) struct Place {
    pub(crate) shown: PathBuf,
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
    pub(crate) temporary: OsString,
}

/// Attributes that hold for what is in a file, and that the kernel sets anew.
const OF_THE_CONTENT: [&[u8]; 2] = [b"security.ima", b"security.evm"];

impl Place {
    pub(crate) fn changed(&self) -> Error {
        Error::msg(format!(
            "{} has changed since the plan was made, so ctdrop did not change it; run ctdrop fix \
             again",
            self.shown.display()
        ))
    }

    /// Describes what failed, with a hint for unusual causes.
    fn failed(&self, error: Errno, doing: &str) -> Error {
        let hint = match error {
            Errno::PERM | Errno::ACCESS if self.is_immutable() => {
                ": it is immutable; make it mutable with chattr -i"
            }
            _ => hint(error, geteuid().is_root()),
        };
        Error::new(io::Error::from(error))
            .context(format!("cannot {doing} {}{hint}", self.shown.display()))
    }

    /// Whether the file or its directory may not be changed (`chattr +i`).
    fn is_immutable(&self) -> bool {
        let immutable =
            |fd: &OwnedFd| ioctl_getflags(fd).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        immutable(&self.directory)
            || openat(&self.directory, &self.name, flags, Mode::empty())
                .is_ok_and(|file| immutable(&file))
    }

    /// Writes the new file under its hidden name, to the disk.
    pub(crate) fn write(
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
            .map_err(|error| self.failed(error, "create a temporary file beside"))?;
        let file = File::from(new);
        let filled = self.fill(&file, content, mode, attributes, original);
        if filled.is_err() {
            self.forget();
        }
        filled
    }

    /// Removes what was written here, and never what was displaced.
    fn forget(&self) {
        // The error that led here is reported instead.
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
        let failed = |error| self.failed(error, "create a temporary file beside");
        file.write_all(content).map_err(|error| {
            let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            self.failed(error, "write the new content of")
        })?;
        let wanted = restored.or_else(|| {
            let original = original?;
            Some(Attributes::of(&original.status))
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
            .filter(|name| !name.is_empty() && !OF_THE_CONTENT.contains(name))
        {
            let mut value = vec![0_u8; 1 << 16];
            let length = fgetxattr(from, name, &mut value).map_err(failed)?;
            let value = value.get(..length).unwrap_or_default();
            fsetxattr(to, name, value, XattrFlags::empty()).map_err(failed)?;
        }
        Ok(())
    }

    /// The new file takes the place of the old one.
    pub(crate) fn put(&self, original: Option<&Original>) -> Result<()> {
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
                    .map_err(|error| self.failed(error, "remove the old content of"))
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

    /// Puts a file that somebody else has changed back to its place.
    fn put_back(&self) -> Result<()> {
        renameat_with(
            &self.directory,
            &self.temporary,
            &self.directory,
            &self.name,
            RenameFlags::EXCHANGE,
        )
        .map_err(|error| self.failed(error, "restore"))
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

    /// Removes a file. It is renamed first, so that it can be checked and put back.
    pub(crate) fn take_away(&self, original: Option<&Original>) -> Result<()> {
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

/// What to do about an error; `root`: whether it was root who met it.
pub(crate) const fn hint(error: Errno, root: bool) -> &'static str {
    match error {
        Errno::ROFS => ": its file system is mounted read-only",
        Errno::NOSPC | Errno::DQUOT => ": the disk or quota is full",
        Errno::ACCESS | Errno::PERM if root => {
            ": root is refused, too; look for what forbids it (SELinux, AppArmor, a network file \
             system, a user namespace)"
        }
        Errno::ACCESS | Errno::PERM => ": run as root",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_not_root_is_told_to_become_root() {
        for error in [Errno::ACCESS, Errno::PERM] {
            assert_eq!(hint(error, false), ": run as root");
            assert!(hint(error, true).contains("SELinux"));
        }
        assert_eq!(hint(Errno::NOSPC, true), hint(Errno::NOSPC, false));
    }
}
