//! How far reading of a large file is, on standard error if that is a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::input::progress::Progress;

/// Nothing is shown of what ends sooner.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar for each file that takes long.
#[derive(Default)]
pub(crate) struct Bar {
    source: Option<Source>,
}

/// The file that is read now.
struct Source {
    name: String,
    length: Option<u64>,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress for Bar {
    fn begin(&mut self, source: &str, length: Option<u64>) {
        self.source = Some(Source {
            name: source.to_owned(),
            length,
            started: Instant::now(),
            bar: None,
        });
    }

    fn reached(&mut self, bytes: u64) {
        let Some(source) = &mut self.source else {
            return;
        };
        if source.bar.is_none() && source.started.elapsed() < PATIENCE {
            return;
        }
        let bar = source
            .bar
            .get_or_insert_with(|| bar(&source.name, source.length));
        bar.set_position(bytes);
    }

    fn end(&mut self) {
        self.source = None;
    }
}

impl Drop for Source {
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
