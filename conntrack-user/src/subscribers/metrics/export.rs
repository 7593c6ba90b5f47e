//! The state of the export by OTLP.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The state of the export.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Export {
    /// Records that wait to be sent.
    pub queued: u64,
    /// Size of the queue on the disk, in bytes.
    pub queue_bytes: u64,
    /// Its maximum size.
    pub queue_limit: u64,
    /// Records that the receiver has accepted.
    pub sent: u64,
    /// Records that were dropped.
    pub dropped: Dropped,
    /// Data points that were dropped or refused.
    pub dropped_points: u64,
    /// Requests with metrics.
    pub metrics: Requests,
    /// Requests with records.
    pub logs: Requests,
}

/// Records that were dropped, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The queue was full: the oldest were dropped for newer ones.
    pub queue_full: u64,
    /// The receiver refused them.
    pub refused: u64,
    /// They could not be written to the disk, and memory had no room for them.
    pub unwritable: u64,
}

/// Requests of a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requests {
    /// Those that the receiver did not accept.
    pub failed: u64,
    /// When the receiver last accepted one, in seconds since 1970.
    pub last_success: Option<f64>,
}

/// What the threads of the export count.
#[derive(Debug, Default)]
pub struct Counts(Mutex<Export>);

impl Counts {
    /// The state now.
    pub fn now(&self) -> Export {
        *self.export()
    }

    /// Changes the state.
    pub(in crate::subscribers) fn change(&self, change: impl FnOnce(&mut Export)) {
        change(&mut self.export());
    }

    /// A panic while it is locked cannot leave it half changed.
    fn export(&self) -> MutexGuard<'_, Export> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
