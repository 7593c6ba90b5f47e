//! The files of a host: of this one, or of a copied or mounted tree, with
//! changes laid over them that are only planned.
//!
//! Symbolic links are followed by hand, so that one that says `/etc/x` means
//! the tree's own, and none leads out of the tree. Only regular files are
//! opened.

pub mod overlay;
mod walk;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat},
    io::Errno,
};

use crate::facts::root::{
    overlay::{Overlay, Planned, first_below},
    walk::{Place, Walk},
};

/// What of a program is read to tell that it is no text, in bytes.
const HEAD: u64 = 4096;

/// No file that is of interest is larger.
const LARGEST: u64 = 16 << 20;

/// The files of a host.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    directory: OwnedFd,
    overlay: Overlay,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is inside the tree, without any symbolic link: `/dev/null` for
    /// what is masked.
    pub file: PathBuf,
    /// What is in it.
    pub content: Vec<u8>,
    /// Whether anybody may execute it.
    pub executable: bool,
}

impl Root {
    /// Opens a tree; `/` is this host.
    pub fn open(path: &Path) -> Result<Self> {
        Self::with_overlay(path, Overlay::new())
    }

    /// Opens a tree as it would be after some changes.
    pub fn with_overlay(path: &Path, overlay: Overlay) -> Result<Self> {
        let directory = rustix::fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .with_context(|| {
            format!(
                "cannot open {} as the root of a tree: give a directory that holds etc/",
                path.display()
            )
        })?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            overlay,
        })
    }

    /// Where the tree is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is the running host itself.
    pub fn is_this_host(&self) -> bool {
        self.path == Path::new("/")
    }

    /// Reads a file. `None`: there is none.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Option<Found>> {
        self.read_while(path.as_ref(), |_| true)
    }

    /// Reads a file that is run, as [`Root::read`]; of one that is no script only the
    /// beginning.
    pub fn read_program(&self, path: impl AsRef<Path>) -> io::Result<Option<Found>> {
        self.read_while(path.as_ref(), |head| {
            head.starts_with(b"#!") || !head.contains(&0)
        })
    }

    fn read_while(
        &self,
        path: &Path,
        goes_on: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Option<Found>> {
        match self.find(path)? {
            None => Ok(None),
            Some(Place::Directory { .. }) => Err(Errno::ISDIR.into()),
            Some(Place::File { real, parent, name }) => {
                self.read_at(real, parent.as_ref(), &name, goes_on)
            }
        }
    }

    fn read_at(
        &self,
        real: PathBuf,
        parent: Option<&OwnedFd>,
        name: &OsStr,
        goes_on: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Option<Found>> {
        if real == Path::new("/dev/null") {
            return Ok(Some(Found {
                file: real,
                content: Vec::new(),
                executable: false,
            }));
        }
        if let Some(Planned::File {
            content,
            executable,
        }) = self.overlay.get(&real)
        {
            return Ok(Some(Found {
                file: real,
                content: content.clone(),
                executable: *executable,
            }));
        }
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let parent = parent.unwrap_or(&self.directory);
        let status = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        let file = match openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => File::from(file?),
        };
        let mut content = Vec::new();
        (&file).take(HEAD).read_to_end(&mut content)?;
        if goes_on(&content) {
            file.take(LARGEST + 1 - HEAD).read_to_end(&mut content)?;
        }
        if content.len() as u64 > LARGEST {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {} MiB", LARGEST >> 20),
            ));
        }
        Ok(Some(Found {
            file: real,
            content,
            executable: status.st_mode & 0o111 != 0,
        }))
    }

    /// Names in a directory, sorted by byte. `None`: there is none.
    pub fn names(&self, path: impl AsRef<Path>) -> io::Result<Option<Vec<String>>> {
        let (real, directory) = match self.find(path.as_ref())? {
            None => return Ok(None),
            Some(Place::File { .. }) => return Err(Errno::NOTDIR.into()),
            Some(Place::Directory { real, directory }) => (real, directory),
        };
        let mut names = BTreeSet::new();
        let on_disk = directory
            .as_ref()
            .or(real.parent().is_none().then_some(&self.directory));
        if let Some(directory) = on_disk {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            for entry in Dir::new(openat(directory, ".", flags, Mode::empty())?)? {
                names.insert(entry?.file_name().to_string_lossy().into_owned());
            }
        }
        names.remove(".");
        names.remove("..");
        for (path, planned) in &self.overlay {
            let Some(name) = first_below(path, &real) else {
                continue;
            };
            match planned {
                Planned::File { .. } => names.insert(name),
                Planned::Removed => path.parent() == Some(&real) && names.remove(&name),
            };
        }
        Ok(Some(names.into_iter().collect()))
    }

    /// The owner of a file or directory, and its mode. `None`: there is none, or it is
    /// only planned.
    pub fn permissions(&self, path: impl AsRef<Path>) -> io::Result<Option<(u32, u32)>> {
        let status = match self.find(path.as_ref())? {
            Some(Place::Directory {
                directory: Some(directory),
                ..
            }) => fstat(directory)?,
            Some(Place::File { real, parent, name }) if !self.overlay.contains_key(&real) => {
                let parent = parent.as_ref().unwrap_or(&self.directory);
                match statat(parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => return Ok(None),
                    status => status?,
                }
            }
            _ => return Ok(None),
        };
        Ok(Some((status.st_uid, status.st_mode & 0o7777)))
    }

    /// Whether something is there, be it a file or a directory.
    pub fn exists(&self, path: impl AsRef<Path>) -> io::Result<bool> {
        self.find(path.as_ref()).map(|place| place.is_some())
    }

    /// Where a path leads to, without any symbolic link. `None`: nowhere.
    pub fn resolve(&self, path: impl AsRef<Path>) -> io::Result<Option<PathBuf>> {
        Ok(self.find(path.as_ref())?.map(|place| match place {
            Place::Directory { real, .. } | Place::File { real, .. } => real,
        }))
    }

    /// Where a file would be made that does not exist: through a symbolic link that leads
    /// to nothing, where that leads to. None: its directory does not exist either.
    pub fn new_file(&self, path: impl AsRef<Path>) -> io::Result<Option<PathBuf>> {
        Walk::new(&self.directory, &self.overlay, path.as_ref()).new_file()
    }

    /// Follows a path, link by link.
    fn find(&self, path: &Path) -> io::Result<Option<Place>> {
        Walk::new(&self.directory, &self.overlay, path).go()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        fs::create_dir_all(at("etc/sysctl.d")).unwrap();
        fs::write(at("etc/sysctl.conf"), "a = 1\n").unwrap();
        symlink("../sysctl.conf", at("etc/sysctl.d/99-sysctl.conf")).unwrap();
        symlink("/etc/sysctl.conf", at("etc/absolute")).unwrap();
        symlink("../../../../../../etc/hostname", at("etc/out")).unwrap();
        symlink("/dev/null", at("etc/sysctl.d/50-masked.conf")).unwrap();
        symlink("loop", at("etc/loop")).unwrap();
        symlink("etc", at("conf")).unwrap();
        tree
    }

    #[test]
    fn links_stay_inside() {
        let tree = tree();
        let root = Root::open(tree.path()).unwrap();
        let file = |path: &str| root.read(path).unwrap().map(|found| found.file);
        let real = Some(PathBuf::from("/etc/sysctl.conf"));
        for path in [
            "/etc/sysctl.conf",
            "etc/sysctl.conf",
            "/etc/sysctl.d/99-sysctl.conf",
            "/etc/absolute",
            "/conf/sysctl.d/../absolute",
            "/../etc/absolute",
        ] {
            assert_eq!(file(path), real, "{path}");
        }
        assert_eq!(file("/etc/out"), None, "leads out of the tree");
        assert_eq!(file("/etc/sysctl.conf/x"), None);
        let masked = root.read("/etc/sysctl.d/50-masked.conf").unwrap().unwrap();
        assert_eq!(masked.file, Path::new("/dev/null"));
        assert!(root.read("/etc/loop").is_err(), "a loop is no absence");
        assert!(root.read("/etc").is_err(), "a directory is no absence");
        let new = |path: &str| root.new_file(path).unwrap();
        assert_eq!(
            new("/etc/out"),
            Some("/etc/hostname".into()),
            "through a link to nothing"
        );
        assert_eq!(new("/conf/new"), Some("/etc/new".into()));
        assert_eq!(new("/etc/none/new"), None);
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let tree = tree();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            tree.path().join("etc/pipe"),
            FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        let root = Root::open(tree.path()).unwrap();
        let error = root.read("/etc/pipe").unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn of_what_is_no_script_only_the_beginning_is_read() {
        let tree = tree();
        let root = Root::open(tree.path()).unwrap();
        let length = |content: &[u8]| {
            fs::write(tree.path().join("etc/program"), content).unwrap();
            root.read_program("/etc/program")
                .unwrap()
                .unwrap()
                .content
                .len()
        };
        let large = vec![0; 1 << 20];
        assert_eq!(length(&[b"\x7fELF", large.as_slice()].concat()), 4096);
        assert_eq!(
            length(&[b"#!/bin/sh\n", large.as_slice()].concat()),
            (1 << 20) + 10
        );
        assert_eq!(length(&vec![b'#'; 1 << 20]), 1 << 20);
        assert_eq!(length(b""), 0);
        assert_eq!(root.read("/etc/program").unwrap().unwrap().content, b"");
    }

    #[test]
    fn plans_are_laid_over() {
        let tree = tree();
        let planned = |text: &str| Planned::File {
            content: text.into(),
            executable: false,
        };
        let overlay = Overlay::from([
            ("/etc/sysctl.conf".into(), planned("b = 2\n")),
            ("/etc/modprobe.d/x.conf".into(), planned("")),
            ("/etc/sysctl.d/50-masked.conf".into(), Planned::Removed),
        ]);
        let root = Root::with_overlay(tree.path(), overlay).unwrap();
        let through_link = root.read("/etc/sysctl.d/99-sysctl.conf").unwrap().unwrap();
        assert_eq!(through_link.content, b"b = 2\n");
        assert_eq!(
            root.names("/etc/modprobe.d").unwrap().unwrap(),
            ["x.conf"],
            "the directory is planned, too"
        );
        assert_eq!(
            root.names("/etc/sysctl.d").unwrap().unwrap(),
            ["99-sysctl.conf"]
        );
        assert_eq!(root.read("/etc/sysctl.d/50-masked.conf").unwrap(), None);
        assert_eq!(root.names("/etc/none").unwrap(), None);
        assert!(
            root.names("/")
                .unwrap()
                .unwrap()
                .contains(&"etc".to_owned())
        );
    }

    #[test]
    fn a_tree_must_be_a_directory() {
        let error = Root::open(Path::new("/proc/version")).unwrap_err();
        assert!(format!("{error:#}").contains("root of a tree"));
    }
}
