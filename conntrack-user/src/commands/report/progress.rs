//! How far the reading of a long time is, for a person at a terminal.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

/// Time between two lines.
const PERIOD: Duration = Duration::from_millis(200);

/// One line on standard error, of which nothing is left in the end.
pub(super) struct Progress {
    is_wanted: bool,
    next: Instant,
    shown: bool,
}

impl Progress {
    /// Nothing is read yet.
    pub(super) fn new() -> Self {
        Self {
            is_wanted: io::stderr().is_terminal(),
            next: Instant::now() + PERIOD,
            shown: false,
        }
    }

    /// So much is read, of 1.
    pub(super) fn note(&mut self, part: f64) {
        let now = Instant::now();
        if self.is_wanted && now >= self.next {
            self.next = now + PERIOD;
            self.shown = true;
            eprint!("\r\x1b[Kreading the evidence: {:.0} %", part * 100.0);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
