//! The kernel log as it is written, `/dev/kmsg`.
//!
//! Each read gives one record: `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT`, a
//! newline, and then lines that begin with a space
//! (<https://docs.kernel.org/admin-guide/abi-testing.html>, `dev-kmsg`).

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt as _,
};

use anyhow::{Context as _, Result, anyhow};
use rustix::process::geteuid;

/// Where the kernel gives its log.
const PATH: &str = "/dev/kmsg";

/// More than the longest record (`CONSOLE_EXT_LOG_MAX`, later
/// `PRINTK_MESSAGE_MAX`); the kernel refuses to give one into less.
const LONGEST: usize = 8192;

/// Records read at once, at most. What is written faster is read the next time.
const AT_ONCE: usize = 100_000;

/// What reads the log: what it holds, or what follows.
pub struct KernelLog<R = File> {
    source: R,
    buffer: Box<[u8; LONGEST]>,
    /// Number of the next record, if nothing is lost until then.
    next: Option<u64>,
    lost: u64,
}

impl KernelLog {
    /// Opens the log at the oldest record that the kernel still holds.
    pub fn from_start() -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(PATH)
            .map_err(|error| explain(error, geteuid().is_root()))?;
        Ok(Self::over(file))
    }
}

impl<R: Read> KernelLog<R> {
    fn over(source: R) -> Self {
        Self {
            source,
            buffer: Box::new([0; LONGEST]),
            next: None,
            lost: 0,
        }
    }

    /// Calls `each` with every record that the kernel itself has written since
    /// the last time.
    pub fn read(&mut self, mut each: impl FnMut(&Record<'_>)) -> Result<()> {
        for _ in 0..AT_ONCE {
            let length = match self.source.read(self.buffer.as_mut_slice()) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Records were overwritten before they were read; the next read
                // gives the oldest that is left.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                    // Without a number to go by, it was one at least.
                    self.lost += u64::from(self.next.is_none());
                    continue;
                }
                Err(error) => return Err(error).with_context(|| format!("cannot read {PATH}")),
            };
            let Some(record) = Record::parse(&self.buffer[..length]) else {
                continue;
            };
            if let Some(next) = self.next {
                self.lost += record.sequence.saturating_sub(next);
            }
            self.next = Some(record.sequence + 1);
            if record.by_kernel {
                each(&record);
            }
        }
        Ok(())
    }

    /// Records that were overwritten before they could be read, at least.
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

/// Why the log cannot be opened, and what to do about it; `root`: whether it was
/// root who tried.
fn explain(error: io::Error, root: bool) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied if root => anyhow!(
            "no permission to read the kernel log ({PATH}), although ctdrop runs as root: grant \
             CAP_SYSLOG and access to the device"
        ),
        io::ErrorKind::PermissionDenied => anyhow!(
            "no permission to read the kernel log ({PATH}): run as root, or with CAP_SYSLOG"
        ),
        io::ErrorKind::NotFound => anyhow!(
            "there is no kernel log here ({PATH}): in a container, pass it in \
             (docker run --device {PATH})"
        ),
        _ => anyhow!(error).context(format!("cannot open {PATH}")),
    }
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number, of all since the kernel has started.
    pub sequence: u64,
    /// Microseconds since the kernel has started, without time asleep.
    pub uptime: u64,
    /// Not written into `/dev/kmsg` by a process: such a record never has the
    /// kernel's facility, 0.
    pub by_kernel: bool,
    /// Its first line.
    pub text: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads one as the device gives it.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let semicolon = bytes.iter().position(|&byte| byte == b';')?;
        let (head, rest) = bytes.split_at(semicolon);
        let mut numbers = head.split(|&byte| byte == b',').map(number);
        let (priority, sequence) = (numbers.next()??, numbers.next()??);
        Some(Self {
            sequence,
            uptime: numbers.next()??,
            by_kernel: priority >> 3 == 0,
            text: rest[1..].split(|&byte| byte == b'\n').next()?,
        })
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn a_record_is_its_first_line() {
        let bytes = b"4,1234,5678901,-,caller=T99;nf_conntrack: x; y\n SUBSYSTEM=net\n";
        let expected = Record {
            sequence: 1234,
            uptime: 5_678_901,
            by_kernel: true,
            text: b"nf_conntrack: x; y",
        };
        assert_eq!(Record::parse(bytes), Some(expected));
        assert_eq!(Record::parse(b"6,1,2,-;\n").unwrap().text, b"");
    }

    #[test]
    fn what_a_process_wrote_is_told_apart() {
        // LOG_USER | LOG_WARNING
        let record = Record::parse(b"12,1,2,-;nf_conntrack: table full\n").unwrap();
        assert!(!record.by_kernel);
    }

    #[test]
    fn what_is_no_record_is_left_out() {
        for bytes in [&b""[..], b"4,1,2,-", b"x,1,2,-;text\n", b"4,1;text\n"] {
            assert_eq!(Record::parse(bytes), None, "{bytes:?}");
        }
    }

    /// Gives records, and errors by number, as the device does; then EAGAIN.
    struct Device(VecDeque<Result<&'static str, i32>>);

    impl Read for Device {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.pop_front().unwrap_or(Err(libc::EAGAIN)) {
                Ok(record) => record.as_bytes().read(buffer),
                Err(error) => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }

    fn read(items: &[Result<&'static str, i32>]) -> (Vec<String>, u64) {
        let mut log = KernelLog::over(Device(items.iter().copied().collect()));
        let mut texts = Vec::new();
        log.read(|record| texts.push(String::from_utf8_lossy(record.text).into_owned()))
            .unwrap();
        (texts, log.lost())
    }

    #[test]
    fn records_are_read_until_there_are_no_more() {
        let (texts, lost) = read(&[
            Ok("4,7,1,-;one\n"),
            Ok("12,8,1,-;forged\n"),
            Err(libc::EINTR),
            Ok("4,9,1,-;two\n"),
            Err(libc::EAGAIN),
            Ok("4,10,1,-;later\n"),
        ]);
        assert_eq!((texts, lost), (vec!["one".to_owned(), "two".to_owned()], 0));
    }

    #[test]
    fn what_was_overwritten_is_counted() {
        let (texts, lost) = read(&[Ok("4,7,1,-;one\n"), Err(libc::EPIPE), Ok("4,107,1,-;two\n")]);
        assert_eq!((texts.len(), lost), (2, 99));
        let (_, lost) = read(&[Err(libc::EPIPE), Ok("4,107,1,-;two\n")]);
        assert_eq!(lost, 1, "at least");
    }

    #[test]
    fn only_who_is_not_root_is_told_to_become_root() {
        let said = |root| explain(io::ErrorKind::PermissionDenied.into(), root).to_string();
        assert!(said(false).contains("run as root"));
        assert!(!said(true).contains("run as root") && said(true).contains("CAP_SYSLOG"));
    }

    #[test]
    fn an_error_of_the_device_is_not_hidden() {
        let mut log = KernelLog::over(Device([Err(libc::EIO)].into()));
        let error = log.read(|_| {}).unwrap_err();
        assert!(format!("{error:#}").contains(PATH), "{error:#}");
    }
}
