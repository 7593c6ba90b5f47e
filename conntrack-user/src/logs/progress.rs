//! How far a long scan is, on standard error if that is a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shorter scans say nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// The bar, and what it is to show.
pub(super) struct Progress {
    started: Instant,
    bar: Option<ProgressBar>,
    name: String,
    length: Option<u64>,
}

impl Progress {
    pub(super) fn begin(name: String, length: Option<u64>) -> Self {
        Self {
            started: Instant::now(),
            bar: None,
            name,
            length,
        }
    }

    /// Shows how many bytes have been read.
    pub(super) fn reached(&mut self, position: u64) {
        if self.bar.is_none() && self.started.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(&self.name, self.length));
        bar.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(name: &str, length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let template = match length {
        Some(_) => "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left",
        None => "{msg} {bytes}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(name.to_owned());
    bar
}
