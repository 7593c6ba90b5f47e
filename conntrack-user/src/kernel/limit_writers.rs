//! Who writes to the files of the limit: the kernel tells by fanotify(7), which needs
//! `CAP_SYS_ADMIN`. Its events come in a thread of their own, at once, as a process such
//! as `sysctl -w` ends right after it has written.
//!
//! Another mount of /proc, and another network namespace, have other files in `/proc/sys`. ctdrop
//! watches those of the first process, which nearly all processes of a host use. It does not see a
//! write through others, such as those of a container.

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::kernel::{
    limits::Limits,
    netns::in_that_of_first_process,
    process::{Noted, Process},
};

/// What sets the limit, or the buckets, of which the kernel makes a limit.
const FILES: [&str; 4] = [
    "/proc/sys/net/netfilter/nf_conntrack_max",
    "/proc/sys/net/nf_conntrack_max",
    "/proc/sys/net/netfilter/nf_conntrack_buckets",
    "/sys/module/nf_conntrack/parameters/hashsize",
];

/// Where the files are as the first process sees them.
const FIRST: &str = "/proc/1/root";

/// How many writes, and processes that have opened a file, are remembered.
const REMEMBERED: usize = 64;

/// How long the event of a write may come after the limit that it has set: the kernel
/// sets the limit first (`vfs_write`, `fs/read_write.c`, 6.12).
const LATE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// Sees who writes to the files of the limit, until it is dropped.
#[derive(Debug, Default)]
pub struct LimitWriters {
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    group: Arc<Fanotify>,
    writers: Arc<Mutex<Writers>>,
    /// Closing it ends the thread.
    _open: OwnedFd,
}

/// What the events have told. They are read under its lock, so whoever holds the lock
/// knows of all that were there before.
#[derive(Debug, Default)]
struct Writers {
    /// Who has opened a file, by the number of the process.
    opened: BTreeMap<i32, Process>,
    writes: VecDeque<Write>,
}

/// What was in force after a process had written.
#[derive(Clone, Debug)]
struct Write {
    limits: Limits,
    by: Process,
}

impl LimitWriters {
    /// Sees them from now on; nobody, where the kernel does not allow that.
    pub fn watch() -> Self {
        let watched = Watched::start();
        let writers = Self { watched };
        writers.mark();
        writers
    }

    /// Asks for the events of files that have come since the last time, as when the
    /// module was loaded again.
    pub fn mark(&self) {
        let Some(watched) = &self.watched else { return };
        in_that_of_first_process(|| {
            for file in FILES {
                let path = PathBuf::from(format!("{FIRST}{file}"));
                // Without the right to see those of the first process, ctdrop watches its own. A
                // file that is not there has no writers.
                let _ = watched
                    .mark(&path)
                    .or_else(|_| watched.mark(Path::new(file)));
            }
        });
    }

    /// Who has made these the limits in force, the last one that has. All writes up to
    /// now are forgotten. Waits up to 20 ms for the event of a write if none is known.
    pub fn who_made(&self, limits: Limits) -> Option<Process> {
        let watched = self.watched.as_ref()?;
        let mut writers = lock(&watched.writers);
        writers.take_in(&watched.group);
        writers.who_made(limits).or_else(|| {
            let mut ready = [PollFd::from_borrowed_fd(
                watched.group.as_fd(),
                PollFlags::IN,
            )];
            poll(&mut ready, Some(&LATE)).ok()?;
            writers.take_in(&watched.group);
            writers.who_made(limits)
        })
    }
}

impl Watched {
    fn mark(&self, path: &Path) -> nix::Result<()> {
        self.group.mark(
            MarkFlags::FAN_MARK_ADD,
            MaskFlags::FAN_OPEN | MaskFlags::FAN_MODIFY,
            nix::fcntl::AT_FDCWD,
            Some(path),
        )
    }

    fn start() -> Option<Self> {
        let flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK;
        let group = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC).ok()?;
        let group = Arc::new(group);
        let writers = Arc::default();
        let (closed, open) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ok()?;
        let thread = thread::Builder::new().name("limit writers".to_owned());
        let (events, seen) = (Arc::clone(&group), Arc::clone(&writers));
        thread.spawn(move || follow(&events, &closed, &seen)).ok()?;
        Some(Self {
            group,
            writers,
            _open: open,
        })
    }
}

/// Takes events until the other end of `closed` is.
fn follow(group: &Fanotify, closed: &OwnedFd, writers: &Mutex<Writers>) {
    loop {
        let mut ready = [
            PollFd::from_borrowed_fd(group.as_fd(), PollFlags::IN),
            PollFd::new(closed, PollFlags::empty()),
        ];
        match poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if ready[1].revents().contains(PollFlags::HUP) {
            return;
        }
        lock(writers).take_in(group);
    }
}

impl Writers {
    /// Takes in the events that are there.
    fn take_in(&mut self, group: &Fanotify) {
        let Ok(events) = group.read_events() else {
            return;
        };
        for event in events {
            let pid = event.pid();
            // Whoever opens a file may soon be gone, and the event of the write tells
            // no more than a number.
            if !self.opened.contains_key(&pid) {
                if self.opened.len() >= REMEMBERED {
                    self.opened.clear();
                }
                self.opened.insert(pid, describe(pid));
            }
            if event.mask().contains(MaskFlags::FAN_MODIFY) {
                let write = Write {
                    limits: Limits::read().unwrap_or_default(),
                    by: self.opened[&pid].clone(),
                };
                // The same number may soon be another process's.
                self.opened.remove(&pid);
                if self.writes.len() >= REMEMBERED {
                    self.writes.pop_front();
                }
                self.writes.push_back(write);
            }
        }
    }

    /// See [`LimitWriters::who_made`], of the events taken in.
    fn who_made(&mut self, limits: Limits) -> Option<Process> {
        let made = |write: &&Write| {
            (write.limits.max, write.limits.buckets) == (limits.max, limits.buckets)
        };
        let writes = std::mem::take(&mut self.writes);
        writes.iter().rev().find(made).map(|write| write.by.clone())
    }
}

fn describe(pid: i32) -> Process {
    Process::of(pid.unsigned_abs(), Noted::default())
}

fn lock(writers: &Mutex<Writers>) -> MutexGuard<'_, Writers> {
    writers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc};

    use super::*;

    /// Whoever asks right after a write must not depend on how soon the thread runs.
    #[test]
    fn a_write_is_known_at_once_though_the_thread_does_not_run() {
        let Some(watched) = Watched::start() else {
            eprintln!("skipped: without CAP_SYS_ADMIN the kernel does not tell who writes");
            return;
        };
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nf_conntrack_max");
        fs::write(&file, "1").unwrap();
        watched.mark(&file).unwrap();
        let writers = LimitWriters {
            watched: Some(watched),
        };
        let limits = Limits::read().unwrap_or_default();
        let held = lock(&writers.watched.as_ref().unwrap().writers);
        let (written, begun) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                fs::write(&file, "2").unwrap();
                written.send(()).unwrap();
            });
            begun.recv().unwrap();
            drop(held);
            let process = writers.who_made(limits).unwrap();
            assert_eq!(process.pid, std::process::id());
        });
        assert!(writers.who_made(limits).is_none(), "writes are forgotten");
    }
}
