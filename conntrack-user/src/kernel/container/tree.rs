//! Reads the files that name containers. Users can change some of them. So a link cannot lead out
//! of the tree, only a regular file is opened for reading (opening a device can do harm, and
//! opening a FIFO can block), and the size of each file is bounded.

use std::{
    fs::File,
    io::Read as _,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2, readlinkat},
    io::Errno,
};

/// The largest file that is read, in bytes. An engine's file of one container has some 30 KiB.
pub(super) const LARGEST: u64 = 4 << 20;

/// The most entries of a directory that are read.
pub(super) const ENTRIES: usize = 20_000;

/// At most so many of the further entries are counted.
const COUNTED: usize = 200_000;

/// How often a path is tried that changes meanwhile.
const TRIES: usize = 3;

/// What was found at a path, or why it could not be read: a text with the path.
pub(super) type Found<T> = Result<Option<T>, String>;

/// The names of the entries of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// Names, as many as are read at most.
    pub(super) names: Vec<String>,
    /// If there are more, how many are not read: a text with the path.
    pub(super) unread: Option<String>,
}

/// The files of a host, or of a user's home.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The tree with this root.
    pub(super) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The tree that begins at a directory of this one.
    pub(super) fn below(&self, folder: &str) -> Self {
        Self::at(self.root.join(folder.trim_start_matches('/')))
    }

    /// The content of a file; none if there is no file.
    pub(super) fn read(&self, path: &str) -> Found<Vec<u8>> {
        self.told(path, self.content(path))
    }

    /// The names of so many entries of a directory at most; none if there is no directory.
    pub(super) fn list(&self, path: &str, most: usize) -> Found<Listing> {
        self.told(path, self.entries(path, most))
    }

    /// The target of a link in a directory.
    pub(super) fn link(&self, folder: &str, name: &str) -> Option<String> {
        let folder = self.open(folder).ok()?;
        let target = readlinkat(&folder, name, Vec::new()).ok()?;
        target.into_string().ok()
    }

    fn told<T>(&self, path: &str, found: Result<T, Why>) -> Found<T> {
        let why = match found {
            Ok(found) => return Ok(Some(found)),
            Err(Why::System(Errno::NOENT | Errno::NOTDIR)) => return Ok(None),
            Err(Why::System(error)) => error.to_string(),
            Err(Why::NotAFile) => "it is not a regular file".to_owned(),
            Err(Why::TooLarge) => format!("it is larger than {} MiB", LARGEST >> 20),
        };
        Err(format!("{}: {why}", self.shown(path)))
    }

    /// The whole path, in words.
    fn shown(&self, path: &str) -> String {
        let path = self.root.join(path.trim_start_matches('/'));
        path.display().to_string()
    }

    fn content(&self, path: &str) -> Result<Vec<u8>, Why> {
        let found = self.open(path)?;
        let about = fstat(&found)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
            return Err(Why::NotAFile);
        }
        let file = again(&found, OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let mut content = Vec::new();
        let read = File::from(file).take(LARGEST + 1).read_to_end(&mut content);
        read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        if content.len() as u64 > LARGEST {
            return Err(Why::TooLarge);
        }
        Ok(content)
    }

    fn entries(&self, path: &str, most: usize) -> Result<Listing, Why> {
        let found = again(&self.open(path)?, OFlags::DIRECTORY)?;
        let mut names = Dir::new(found)?.filter_map(|entry| {
            let name = entry.ok()?.file_name().to_str().ok()?.to_owned();
            (name != "." && name != "..").then_some(name)
        });
        let read: Vec<String> = names.by_ref().take(most).collect();
        let more = names.take(COUNTED).count();
        let at_least = if more == COUNTED { "at least " } else { "" };
        Ok(Listing {
            names: read,
            unread: (more > 0).then(|| {
                format!(
                    "{}: {at_least}{more} of its entries, after the first {most}",
                    self.shown(path)
                )
            }),
        })
    }

    /// A handle to what is at a path (`O_PATH`): it is not opened.
    fn open(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let root = open(
            self.root.as_path(),
            flags | OFlags::DIRECTORY,
            Mode::empty(),
        )?;
        let inside = path.trim_start_matches('/');
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut tries = TRIES;
        loop {
            match openat2(&root, inside, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) if tries > 1 => tries -= 1,
                // Before Linux 5.6, or forbidden by an old filter: only the host's own
                // files, which links of users do not change.
                Err(Errno::NOSYS | Errno::PERM) if self.root == Path::new("/") => {
                    return open(
                        self.root.join(inside),
                        flags | OFlags::NOFOLLOW,
                        Mode::empty(),
                    );
                }
                found => return found,
            }
        }
    }
}

/// Opens a handle for reading.
fn again(found: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
}

/// Why nothing was read.
enum Why {
    NotAFile,
    TooLarge,
    System(Errno),
}

impl From<Errno> for Why {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}
