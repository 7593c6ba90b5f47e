//! The file of a capture: only its owner can read it, its size is limited, and it ends with a
//! whole block also after an error.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::say::number::number;

/// How long the reader of a pipe may take nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait until the reader of a full pipe may have taken something.
const GLANCE: Duration = Duration::from_millis(20);

/// The file of a capture.
#[derive(Debug)]
pub(super) struct CaptureFile {
    file: File,
    path: PathBuf,
    /// Whether it is a file, not a pipe.
    is_file: bool,
    /// Whether it is a pipe that has ended in the middle of a block.
    is_broken: bool,
    written: u64,
    most: u64,
}

/// Why nothing more is written.
#[derive(Debug)]
pub(super) enum Stop {
    /// The file has its largest size.
    Full(u64),
    /// It cannot be written.
    Failed(io::Error),
    /// It is a pipe, and its reader takes nothing.
    Stalled,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(most) => write!(
                f,
                "it has reached the {} bytes of --pcap-size",
                number(*most)
            ),
            Self::Failed(error) => write!(f, "it cannot be written: {error}"),
            Self::Stalled => write!(
                f,
                "its reader has taken nothing for {} s",
                PATIENCE.as_secs()
            ),
        }
    }
}

impl CaptureFile {
    /// Creates it, or opens a pipe that somebody reads. An existing file is never overwritten.
    pub(super) fn create(path: &Path, most: u64) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        let cannot = || format!("cannot create {}", path.display());
        let (file, is_file) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let there = fs::metadata(path).with_context(cannot)?;
                if there.is_file() || there.is_dir() {
                    bail!(
                        "{} exists, and --pcap does not overwrite files: name another file, or remove \
                         this one first",
                        path.display()
                    );
                }
                // Otherwise this waits for a reader, and later for what it reads.
                let opened = options.custom_flags(libc::O_NONBLOCK).open(path);
                if matches!(&opened, Err(error) if error.raw_os_error() == Some(libc::ENXIO)) {
                    bail!(
                        "nobody reads the pipe {}: start its reader first",
                        path.display()
                    );
                }
                (opened, false)
            }
            created => (created, true),
        };
        Ok(Self {
            file: file.with_context(cannot)?,
            path: path.to_owned(),
            is_file,
            is_broken: false,
            written: 0,
            most,
        })
    }

    /// Writes blocks, if as many bytes as `reserve` are left after them.
    pub(super) fn write(&mut self, blocks: &[u8], reserve: u64) -> Result<(), Stop> {
        let length = blocks.len() as u64;
        if self.written + length + reserve > self.most {
            return Err(Stop::Full(self.most));
        }
        let written = if self.is_file {
            self.file.write_all(blocks).map_err(Stop::Failed)
        } else if self.is_broken {
            return Err(Stop::Stalled);
        } else {
            self.pipe(blocks)
        };
        match written {
            Ok(()) => self.written += length,
            Err(_) => self.cut(),
        }
        written
    }

    /// Writes to a pipe, and gives up if its reader takes nothing.
    fn pipe(&mut self, mut blocks: &[u8]) -> Result<(), Stop> {
        let mut since = Instant::now();
        while !blocks.is_empty() {
            match self.file.write(blocks) {
                Ok(taken) => {
                    blocks = &blocks[taken..];
                    since = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if since.elapsed() >= PATIENCE {
                        return Err(Stop::Stalled);
                    }
                    thread::sleep(GLANCE);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Failed(error)),
            }
        }
        Ok(())
    }

    /// Removes a block that was written only in part; in a pipe nothing can follow it.
    fn cut(&mut self) {
        self.is_broken = !self.is_file;
        if self.is_file {
            // This may fail, too, on a disk that fails.
            let _ = self.file.set_len(self.written);
            let _ = io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.written));
        }
    }
}

impl Drop for CaptureFile {
    /// Removes an empty file, because the next capture would refuse to overwrite it.
    fn drop(&mut self) {
        if self.is_file && self.written == 0 {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_the_owner_reads_it_and_nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pcapng");
        let mut file = CaptureFile::create(&path, 100).unwrap();
        file.write(b"one", 0).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for there in [&path, directory.path()] {
            let error = CaptureFile::create(there, 100).unwrap_err().to_string();
            assert!(error.contains("remove this one first"), "{error}");
        }
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let nowhere = directory.path().join("no/x.pcapng");
        let error = format!("{:#}", CaptureFile::create(&nowhere, 9).unwrap_err());
        assert!(error.contains("no/x.pcapng: No such file"), "{error}");
    }

    #[test]
    fn a_capture_that_never_began_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pcapng");
        drop(CaptureFile::create(&path, 100).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn its_bound_holds_with_room_for_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pcapng");
        let mut file = CaptureFile::create(&path, 10).unwrap();
        file.write(b"1234", 4).unwrap();
        let stop = file.write(b"567", 4).unwrap_err();
        assert_eq!(
            stop.to_string(),
            "it has reached the 10 bytes of --pcap-size"
        );
        file.write(b"567890", 0).unwrap();
        assert!(file.write(b"1", 0).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"1234567890");
    }

    #[test]
    fn a_pipe_needs_a_reader_who_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let error = CaptureFile::create(&path, 9).unwrap_err().to_string();
        assert!(error.contains("start its reader first"), "{error}");
        let mut options = OpenOptions::new();
        let reader = options.read(true).custom_flags(libc::O_NONBLOCK);
        let mut reader = reader.open(&path).unwrap();
        let mut file = CaptureFile::create(&path, u64::MAX).unwrap();
        file.write(b"read", 0).unwrap();
        let mut read = [0; 4];
        io::Read::read_exact(&mut reader, &mut read).unwrap();
        assert_eq!(&read, b"read");
        let more_than_a_pipe_holds = vec![0; 2 << 20];
        let began = Instant::now();
        let stop = file.write(&more_than_a_pipe_holds, 0).unwrap_err();
        assert!(stop.to_string().contains("has taken nothing"), "{stop}");
        assert!(began.elapsed() >= PATIENCE);
        // The end is not written into the middle of a block.
        assert!(matches!(file.write(b"end", 0), Err(Stop::Stalled)));
    }

    #[test]
    fn a_full_disk_is_no_end_of_the_watch() {
        let full = Path::new("/dev/full");
        let mut file = CaptureFile::create(full, 100).unwrap();
        let stop = file.write(b"1", 0).unwrap_err().to_string();
        assert!(stop.contains("No space left on device"), "{stop}");
        drop(file);
        assert!(full.exists());
    }
}
