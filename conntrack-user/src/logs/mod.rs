//! `ctdrop logs`: what kernel logs say of refused packets, with what the
//! kernel held back.
//!
//! [`source`] finds the logs, [`part`] opens a file, [`legible`] tells whether it
//! is one, [`blocks`] and [`scan`]
//! search it, [`mod@line`], [`stamp`] and [`journal`] take apart what was found,
//! [`burst`], [`limit`], [`excluded`] and [`tally`] add it up, [`report`], [`advice`] and [`text`] say it.

pub mod advice;
pub mod blocks;
pub mod burst;
pub mod chronology;
pub mod excluded;
pub mod journal;
pub mod legible;
pub mod limit;
pub mod line;
pub mod part;
mod progress;
pub mod reading;
pub mod report;
pub mod scan;
mod sieve;
pub mod source;
pub mod stamp;
pub mod tally;
#[cfg(test)]
mod tests;
pub mod text;
pub mod when;

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail};

use crate::{
    logs::{
        reading::{Reading, Request},
        report::Report,
    },
    say::{output::Output, stdout, text::plain},
};

/// This moment, in microseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Form of the output.
    pub output: Output,
    /// The logs; `-` is standard input. If none is given, those of the system.
    pub files: Vec<PathBuf>,
    /// The tree of the system whose logs to read; the running host if none is
    /// given.
    pub root: Option<PathBuf>,
    /// What of the logs to count, and how to read them.
    pub request: Request,
}

/// Searches the logs and says what they say.
pub fn run(options: &Options) -> Result<()> {
    let root = options.root.as_deref().unwrap_or(Path::new("/"));
    let zone = when::zone(options.root.as_deref())?;
    let mut reading = Reading::new(&options.request, zone.clone())?;
    if options.files.is_empty() {
        if !root.is_dir() {
            bail!("{} is no directory", plain(&root.display().to_string()));
        }
        reading.host(root);
    } else {
        reading.files(&options.files);
    }
    let read = reading.finish();
    if read.sources.is_empty() {
        let why: Vec<_> = read
            .unreadable
            .iter()
            .map(|source| format!("{}: {}", source.source, source.why))
            .collect();
        if why.is_empty() {
            bail!(
                "found no kernel log below {}: looked for {}; give its files, or - for standard \
                 input",
                plain(&root.display().to_string()),
                source::looked_for()
            );
        }
        bail!("no log could be read: {}", why.join("; "));
    }
    let failed = !options.files.is_empty() && !read.unreadable.is_empty();
    let report = Report::new(&read);
    match options.output {
        Output::Json => stdout::json(&report)?,
        Output::Text => stdout::lines(text::report(&report, &zone))?,
    }
    if failed {
        bail!(
            "{} of the logs asked for could not be read",
            read.unreadable.len()
        );
    }
    Ok(())
}
