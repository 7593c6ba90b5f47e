//! How far something is that takes long, on standard error if that is a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::input::progress::Progress;

/// Nothing is shown of what ends sooner.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar, of which nothing is left in the end.
pub(crate) struct Bar {
    template: &'static str,
    name: String,
    length: Option<u64>,
    started: Instant,
    shown: Option<ProgressBar>,
}

impl Bar {
    /// Of so many parts, if that is known; `template` is indicatif's, where `{msg}` is the
    /// name.
    pub(crate) fn new(template: &'static str, name: &str, length: Option<u64>) -> Self {
        Self {
            template,
            name: name.to_owned(),
            length,
            started: Instant::now(),
            shown: None,
        }
    }

    /// So many parts are done.
    pub(crate) fn reached(&mut self, parts: u64) {
        if self.shown.is_none() && self.started.elapsed() < PATIENCE {
            return;
        }
        let Self {
            template,
            name,
            length,
            ..
        } = self;
        let bar = self
            .shown
            .get_or_insert_with(|| drawn(template, name, *length));
        bar.set_position(parts);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn drawn(template: &str, name: &str, length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(name.to_owned());
    bar
}

/// A bar for each file that is read.
#[derive(Default)]
pub(crate) struct Files(Option<Bar>);

impl Progress for Files {
    fn begin(&mut self, source: &str, length: Option<u64>) {
        let template = match length {
            Some(_) => "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left",
            None => "{msg} {bytes}",
        };
        self.0 = Some(Bar::new(template, source, length));
    }

    fn reached(&mut self, bytes: u64) {
        if let Some(bar) = &mut self.0 {
            bar.reached(bytes);
        }
    }

    fn end(&mut self) {
        self.0 = None;
    }
}
