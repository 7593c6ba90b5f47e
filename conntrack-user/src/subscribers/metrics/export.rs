//! How the export by OTLP goes.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How the export goes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Export {
    /// Records that wait.
    pub queued: u64,
    /// Bytes of the queue on the disk.
    pub queue_bytes: u64,
    /// The most that it may take.
    pub queue_limit: u64,
    /// Records that a receiver has taken.
    pub sent: u64,
    /// Records that no receiver gets.
    pub dropped: Dropped,
    /// Points of metrics that no receiver gets, and that no later point makes up for.
    pub dropped_points: u64,
    /// Requests with metrics.
    pub metrics: Requests,
    /// Requests with records.
    pub logs: Requests,
}

/// Records that no receiver gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Others had to have their room.
    pub queue_full: u64,
    /// The receiver does not want them.
    pub refused: u64,
    /// They could not be written to the disk, and had no room in memory.
    pub unwritable: u64,
}

/// Requests of a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requests {
    /// Those that no receiver has taken.
    pub failed: u64,
    /// When one has taken the last, in seconds since 1970.
    pub last_success: Option<f64>,
}

/// What the threads of the export count.
#[derive(Debug, Default)]
pub struct Counts(Mutex<Export>);

impl Counts {
    /// As it is now.
    pub fn now(&self) -> Export {
        *self.export()
    }

    /// Changes it.
    pub(in crate::subscribers) fn change(&self, change: impl FnOnce(&mut Export)) {
        change(&mut self.export());
    }

    /// Nothing that is done with it can leave it half done.
    fn export(&self) -> MutexGuard<'_, Export> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
