//! The record of each fix, a directory below `/var/lib/ctdrop-fixes`: backups of
//! the files, a manifest that says what is to be done, by whom and why, and marks
//! of progress.
//!
//! Backups and manifest are on the disk before the first file is changed, so that
//! an interrupted fix can be undone, or completed by the next one. Nothing reads
//! settings from these directories.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::geteuid,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    apply::file::{Attributes, hint},
    plan::edit::TEMPORARY,
};

/// Where fixes are kept, inside a tree.
pub const DIRECTORY: &str = "/var/lib/ctdrop-fixes";

/// What a fix does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name: when it was made, in UTC.
    pub id: String,
    /// When it was made.
    pub time: String,
    /// Who made it.
    pub who: Who,
    /// The version of ctdrop.
    pub version: String,
    /// The limit and the buckets that were wanted.
    pub target: (u64, u64),
    /// Why, each as a sentence.
    pub why: Vec<String>,
    /// What was written to the running kernel, in order.
    pub live: Vec<Live>,
    /// The files.
    pub files: Vec<FileRecord>,
    /// Directories that were made.
    pub directories: Vec<PathBuf>,
    /// Interrupted fixes that this one completes.
    pub carries_on: Vec<String>,
}

/// Who made a fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// User.
    pub uid: u32,
    /// The user who ran sudo.
    pub sudo_user: Option<String>,
    /// The command line.
    pub command: Vec<String>,
}

/// A variable of the kernel that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Its file.
    pub path: PathBuf,
    /// Its old value.
    pub before: Option<u64>,
    /// Its new value.
    pub after: u64,
}

/// A file that was changed or made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Path inside the tree.
    pub path: PathBuf,
    /// The file before; none if there was none.
    pub before: Option<Backup>,
    /// SHA-256 of the new content.
    pub after: String,
    /// Permissions if it is new.
    pub mode: u32,
    /// The hidden name of the new file before it takes the place of the old one.
    pub temporary: String,
    /// Why.
    pub why: Vec<String>,
}

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// SHA-256 of what was in it.
    pub sha256: String,
    /// Owner, permissions and time.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// The progress of a fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was interrupted.
    Unfinished,
    /// It is done.
    Applied,
    /// It is undone in part.
    PartlyUndone,
    /// It is undone.
    Undone,
    /// Another fix has completed it.
    CarriedOn,
}

impl State {
    /// Its mark; an unfinished fix has none.
    const fn mark(self) -> Option<&'static str> {
        match self {
            Self::Unfinished => None,
            Self::Applied => Some("applied"),
            Self::PartlyUndone => Some("undoing"),
            Self::Undone => Some("undone"),
            Self::CarriedOn => Some("carried-on"),
        }
    }
}

/// The record of a fix.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it is.
    pub directory: PathBuf,
    /// What is known of it.
    pub manifest: Manifest,
    /// Its progress.
    pub state: State,
}

/// All fixes of a host or of a tree.
#[derive(Debug)]
pub struct Records {
    root: PathBuf,
    directory: PathBuf,
}

/// SHA-256 in hexadecimal.
pub fn digest(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

impl Records {
    /// Those of the tree at `root`.
    pub fn of(root: &Path) -> Self {
        let inside = DIRECTORY.trim_start_matches('/');
        Self {
            root: root.to_owned(),
            directory: root.join(inside),
        }
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Locks out other changes until the returned value is dropped.
    pub fn lock(&self) -> Result<File> {
        self.stay_inside()?;
        make_private(&self.directory)?;
        let path = self.directory.join("lock");
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(libc::O_NOFOLLOW)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).with_context(|| {
            format!(
                "another ctdrop fix or undo is running: {} is locked",
                path.display()
            )
        })?;
        Ok(file)
    }

    /// A link in a copied tree could lead out of it, to the host that it is on.
    fn stay_inside(&self) -> Result<()> {
        if self.root == Path::new("/") {
            return Ok(());
        }
        for directory in self.directory.ancestors() {
            if directory == self.root {
                break;
            }
            if fs::symlink_metadata(directory).is_ok_and(|status| status.is_symlink()) {
                bail!(
                    "nothing was changed: {} is a symbolic link, which may lead out of the tree; \
                     replace it by a directory",
                    directory.display()
                );
            }
        }
        Ok(())
    }

    /// All fixes, the oldest first.
    pub fn all(&self) -> Result<Vec<Record>> {
        let shown = |error| cannot_read(&self.directory, error);
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(shown)?,
        };
        let mut records = Vec::new();
        for entry in entries {
            let entry = entry.map_err(shown)?;
            // A link could lead to the directory of something else.
            if !entry.file_type().map_err(shown)?.is_dir() {
                continue;
            }
            let directory = entry.path();
            // Without a manifest nothing was changed yet.
            match fs::metadata(directory.join("manifest.json")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                manifest => {
                    manifest.map_err(|error| cannot_read(&directory, error))?;
                    records.push(Record::read(directory)?);
                }
            }
        }
        records.sort_by(|a, b| a.manifest.id.cmp(&b.manifest.id));
        Ok(records)
    }

    /// A name for a fix that is made now.
    pub fn new_id(&self) -> String {
        let now = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
        now.replace(':', "").replace('.', "-")
    }

    /// Writes the record of a fix before it begins: backups first, then the manifest.
    pub fn begin(&self, manifest: &Manifest, contents: &[Contents<'_>]) -> Result<Record> {
        let directory = self.directory.join(&manifest.id);
        make_private(&directory)?;
        for (number, contents) in contents.iter().enumerate() {
            if let Some(before) = contents.before {
                write(&directory.join(format!("before-{number}")), before)?;
            }
            write(&directory.join(format!("after-{number}")), contents.after)?;
        }
        let text = serde_json::to_vec_pretty(manifest)?;
        write(&directory.join("manifest.new"), &text)?;
        let (new, whole) = (
            directory.join("manifest.new"),
            directory.join("manifest.json"),
        );
        fs::rename(&new, &whole).with_context(|| format!("cannot create {}", whole.display()))?;
        sync(&directory)?;
        sync(&self.directory)?;
        Ok(Record {
            directory,
            manifest: manifest.clone(),
            state: State::Unfinished,
        })
    }
}

/// That a directory cannot be read, and what to do about it.
fn cannot_read(path: &Path, error: io::Error) -> anyhow::Error {
    let errno = Errno::from_io_error(&error);
    let hint = errno.map_or("", |errno| hint(errno, geteuid().is_root()));
    anyhow::Error::new(error).context(format!("cannot read {}{hint}", path.display()))
}

/// Checks that no name in a manifest leads out of the directory of a file: in a
/// copied tree somebody else may have written it.
fn check(manifest: &Manifest) -> Result<()> {
    for file in &manifest.files {
        if !file.temporary.starts_with(TEMPORARY) || file.temporary.contains('/') {
            bail!(
                "cannot use this record: it names a temporary file {:?} beside {} that ctdrop would \
                 not create. Somebody may have changed the record",
                file.temporary,
                file.path.display()
            );
        }
    }
    Ok(())
}

/// The content of a file before and after a fix.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// What is in it; none if it is not there.
    pub before: Option<&'a [u8]>,
    /// What is to be in it.
    pub after: &'a [u8],
}

impl Record {
    fn read(directory: PathBuf) -> Result<Self> {
        let path = directory.join("manifest.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a manifest of ctdrop", path.display()))?;
        check(&manifest).with_context(|| format!("cannot use {}", path.display()))?;
        let state = [
            State::Undone,
            State::CarriedOn,
            State::PartlyUndone,
            State::Applied,
        ]
        .into_iter()
        .find(|state| {
            state
                .mark()
                .is_some_and(|mark| directory.join(mark).exists())
        })
        .unwrap_or(State::Unfinished);
        Ok(Self {
            directory,
            manifest,
            state,
        })
    }

    /// The old content of a file; none if it did not exist. The checksum must be
    /// that of the manifest.
    pub fn before(&self, number: usize) -> Result<Option<Vec<u8>>> {
        let file = &self.manifest.files[number];
        let Some(backup) = &file.before else {
            return Ok(None);
        };
        self.content(&format!("before-{number}"), &backup.sha256)
            .map(Some)
    }

    /// What was to be in a file.
    pub fn after(&self, number: usize) -> Result<Vec<u8>> {
        let file = &self.manifest.files[number];
        self.content(&format!("after-{number}"), &file.after)
    }

    fn content(&self, name: &str, sha256: &str) -> Result<Vec<u8>> {
        let path = self.directory.join(name);
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if digest(&content) != sha256 {
            bail!(
                "cannot use {}: its checksum has changed since ctdrop wrote it",
                path.display()
            );
        }
        Ok(content)
    }

    /// Marks its progress.
    pub fn mark(&mut self, state: State) -> Result<()> {
        if let Some(mark) = state.mark() {
            let now = humantime::format_rfc3339_millis(SystemTime::now());
            write(&self.directory.join(mark), format!("{now}\n").as_bytes())?;
            sync(&self.directory)?;
        }
        self.state = state;
        Ok(())
    }
}

/// Creates a directory that only its owner may read.
fn make_private(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.ancestors().skip(1).find(|above| above.is_dir());
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700)))
        .with_context(|| {
            format!(
                "nothing was changed: cannot create {}, which would hold the backups",
                path.display()
            )
        })?;
    // Each of those made is a name in the one above it.
    let made = path.ancestors().skip(1);
    let whole = above.unwrap_or(Path::new("/"));
    made.take_while(|directory| directory.starts_with(whole))
        .try_for_each(sync)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let written = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_NOFOLLOW)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn sync(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .with_context(|| format!("cannot flush {} to the disk", directory.display()))
}
