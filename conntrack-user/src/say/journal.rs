//! Lines for the journal of systemd: it reads how serious a line is from `<N>` in front.

use std::{
    env,
    fmt::Display,
    io::{self, Write as _},
    os::fd::{AsFd, BorrowedFd},
};

use rustix::fs::fstat;

/// How serious a line is, as syslog numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something needs to be looked at.
    Warning,
    /// Good to know.
    Info,
}

impl Level {
    const fn number(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warning => 4,
            Self::Info => 6,
        }
    }

    /// What the journal reads it from.
    pub fn prefix(self) -> String {
        format!("<{}>", self.number())
    }
}

/// Whether this stream goes to the journal: systemd says which device and inode that has.
pub fn is_journal(stream: impl AsFd) -> bool {
    let said = env::var("JOURNAL_STREAM").ok();
    said.is_some_and(|said| is_stream(&said, stream.as_fd()))
}

fn is_stream(said: &str, stream: BorrowedFd<'_>) -> bool {
    let numbers = said.split_once(':');
    let numbers =
        numbers.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    let Some(numbers) = numbers else {
        return false;
    };
    fstat(stream).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == numbers)
}

/// Says something on standard error, as the command.
pub fn complain(level: Level, what: impl Display) {
    let mut stderr = io::stderr();
    let prefix = if is_journal(&stderr) {
        level.prefix()
    } else {
        String::new()
    };
    // Where it cannot be said, as on a terminal that is gone, nothing else can be.
    let _ = writeln!(stderr, "{prefix}ctdrop: {what}");
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn a_stream_is_the_journal_if_device_and_inode_are_the_ones_that_systemd_says() {
        let file = tempfile::tempfile().unwrap();
        let stat = file.metadata().unwrap();
        let said = format!("{}:{}", stat.dev(), stat.ino());
        assert!(is_stream(&said, file.as_fd()));
        let other = File::open("/dev/null").unwrap();
        assert!(!is_stream(&said, other.as_fd()));
        for wrong in ["", "1", "a:b", "8:"] {
            assert!(!is_stream(wrong, file.as_fd()), "{wrong:?}");
        }
        assert_eq!(Level::Warning.prefix(), "<4>");
    }
}
