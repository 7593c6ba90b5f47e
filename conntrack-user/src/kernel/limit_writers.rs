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
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::event::{PollFd, PollFlags, poll};

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

/// Sees who writes to the files of the limit, until it is dropped.
#[derive(Debug, Default)]
pub struct LimitWriters {
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    group: Arc<Fanotify>,
    writes: Arc<Mutex<VecDeque<Write>>>,
    /// Closing it ends the thread.
    _open: OwnedFd,
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
    /// now are forgotten.
    pub fn who_made(&self, limits: Limits) -> Option<Process> {
        let watched = self.watched.as_ref()?;
        let writes = std::mem::take(&mut *lock(&watched.writes));
        let made = |write: &&Write| {
            (write.limits.max, write.limits.buckets) == (limits.max, limits.buckets)
        };
        writes.iter().rev().find(made).map(|write| write.by.clone())
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
        let writes = Arc::default();
        let (closed, open) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ok()?;
        let thread = thread::Builder::new().name("limit writers".to_owned());
        let (events, seen) = (Arc::clone(&group), Arc::clone(&writes));
        thread.spawn(move || follow(&events, &closed, &seen)).ok()?;
        Some(Self {
            group,
            writes,
            _open: open,
        })
    }
}

/// Takes events until the other end of `closed` is.
fn follow(group: &Fanotify, closed: &OwnedFd, writes: &Mutex<VecDeque<Write>>) {
    let mut opened: BTreeMap<i32, Process> = BTreeMap::new();
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
        let Ok(events) = group.read_events() else {
            continue;
        };
        for event in events {
            let pid = event.pid();
            // Whoever opens a file may soon be gone, and the event of the write tells
            // no more than a number.
            if !opened.contains_key(&pid) {
                if opened.len() >= REMEMBERED {
                    opened.clear();
                }
                opened.insert(pid, describe(pid));
            }
            if event.mask().contains(MaskFlags::FAN_MODIFY) {
                let write = Write {
                    limits: Limits::read().unwrap_or_default(),
                    by: opened[&pid].clone(),
                };
                // The same number may soon be another process's.
                opened.remove(&pid);
                let mut writes = lock(writes);
                if writes.len() >= REMEMBERED {
                    writes.pop_front();
                }
                writes.push_back(write);
            }
        }
    }
}

fn describe(pid: i32) -> Process {
    Process::of(pid.unsigned_abs(), Noted::default())
}

fn lock(writes: &Mutex<VecDeque<Write>>) -> std::sync::MutexGuard<'_, VecDeque<Write>> {
    writes.lock().unwrap_or_else(PoisonError::into_inner)
}
