//! What the subscriber leaves for the server.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::subscribers::metrics::{
    catalogue,
    family::{Family, openmetrics},
    numbers::{Numbers, Phase},
};

/// How long no interval may come while it observes: then something hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The latest numbers, and their text, which is made once however often it is read.
#[derive(Debug)]
pub struct Shared {
    latest: Mutex<Latest>,
}

#[derive(Debug)]
struct Latest {
    numbers: Numbers,
    /// None since they have changed.
    text: Option<Bytes>,
    /// When they last did.
    at: Instant,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            latest: Mutex::new(Latest {
                numbers: Numbers::default(),
                text: None,
                at: Instant::now(),
            }),
        }
    }
}

impl Shared {
    /// Leaves new numbers.
    pub(in crate::subscribers) fn put(&self, numbers: &Numbers) {
        let mut latest = self.latest();
        latest.numbers.clone_from(numbers);
        latest.text = None;
        latest.at = Instant::now();
    }

    /// The metrics, for OTLP.
    pub(in crate::subscribers) fn families(&self) -> Vec<Family> {
        catalogue::families(&self.latest().numbers)
    }

    /// The metrics as OpenMetrics.
    pub(super) fn text(&self) -> Bytes {
        let mut latest = self.latest();
        if let Some(text) = &latest.text {
            return text.clone();
        }
        let text = Bytes::from(openmetrics(catalogue::families(&latest.numbers)));
        latest.text = Some(text.clone());
        text
    }

    /// Whether it does what it should: it counts, or waits for conntrack.
    pub(super) fn is_alive(&self) -> bool {
        let latest = self.latest();
        match latest.numbers.phase {
            Phase::Waiting => true,
            Phase::Starting | Phase::Observing => latest.at.elapsed() < PATIENCE,
            Phase::Finished => false,
        }
    }

    /// Whether it counts.
    pub(super) fn is_observing(&self) -> bool {
        self.is_alive() && self.latest().numbers.phase == Phase::Observing
    }

    /// Nothing that is done with it can leave it half done.
    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
