//! How far a long replay is, on standard error if that is a terminal and standard output
//! is none.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Nothing is shown of replays that end sooner.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar.
pub(super) struct Bar {
    length: usize,
    done: u64,
    started: Instant,
    is_wanted: bool,
    shown: Option<ProgressBar>,
}

impl Bar {
    /// Of so many parts.
    pub(super) fn new(length: usize) -> Self {
        Self {
            length,
            done: 0,
            started: Instant::now(),
            is_wanted: !io::stdout().is_terminal(),
            shown: None,
        }
    }

    /// One part more.
    pub(super) fn advance(&mut self) {
        self.done += 1;
        if self.shown.is_none() && (!self.is_wanted || self.started.elapsed() < PATIENCE) {
            return;
        }
        let length = self.length as u64;
        let bar = self.shown.get_or_insert_with(|| bar(length));
        bar.set_position(self.done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let template = "replayed {wide_bar} {percent} %, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
