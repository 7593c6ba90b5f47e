//! `ctdrop logs`: what kernel logs say about refused packets.
//!
//! [`crate::logs`] reads and adds up; [`report`] has the fields of the JSON output,
//! [`text`] its words for people, [`advice`] what to do.

pub mod advice;
mod incident;
pub mod names;
pub mod recorded;
mod remedies;
pub mod report;
#[cfg(test)]
mod tests;
pub mod text;
mod values;
mod warnings;
pub mod words;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use jiff::tz::TimeZone;
use rustix::system::uname;

use crate::{
    commands::{
        bar::Files,
        daemon,
        logs::{names::Names, report::LogReport},
    },
    logs::{
        read::{reader::Reader, request::Request, sources, summary::Summary},
        time,
    },
    say::{
        clock,
        journal::{self, Level},
        number::counted,
        output::Output,
        stdout,
        text::plain,
    },
};

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
    /// What to count of the logs, and how to read them.
    pub request: Request,
    /// Where `ctdrop daemon` keeps evidence, for exact counts; the usual directory if none
    /// is given.
    pub state: Option<PathBuf>,
}

/// Searches the logs and prints what they say.
pub fn run(options: &Options) -> Result<()> {
    let zone = time::zone(options.root.as_deref())?;
    let mut progress = Files::default();
    let reader = Reader::new(&options.request, zone.clone(), &mut progress)?;
    let summary = read(options, reader)?;
    let is_own = is_own(options, &summary);
    let names = if is_own { names::here() } else { Names::new() };
    let mut report = LogReport::new(&summary, &names);
    let own = uname();
    let own = own.nodename().to_bytes();
    // The kernel's own log names no host.
    let is_unnamed = is_own && report.by_host.iter().all(|host| host.host.is_none());
    let is_of =
        |host: &str| summary.is_all_of(host.as_bytes()) || is_unnamed && host.as_bytes() == own;
    let state = options.state.as_deref();
    let evidence = daemon::file(state.unwrap_or(Path::new(daemon::STATE)));
    if state.is_some()
        && let Some(warning) = recorded::missing(&evidence)
    {
        journal::complain(Level::Warning, plain(&warning));
    }
    recorded::set_beside(&mut report, &evidence, is_of);
    match options.output {
        Output::Json => stdout::json(&report)?,
        Output::Text => {
            let shown = if clock::is_utc() { TimeZone::UTC } else { zone };
            stdout::lines(text::report(&report, &shown))?;
        }
    }
    if !options.files.is_empty() && !summary.unreadable.is_empty() {
        let failed = counted(summary.unreadable.len() as u64, "log");
        bail!("{failed} could not be read to the end");
    }
    Ok(())
}

/// Whether this host wrote the logs.
fn is_own(options: &Options, read: &Summary) -> bool {
    let root = options.root.as_deref().unwrap_or(Path::new("/"));
    if options.files.is_empty() {
        root == Path::new("/")
    } else {
        read.is_all_of(uname().nodename().to_bytes())
    }
}

/// Reads the files that are asked for, or the logs of the system. Fails if there
/// are none that can be read.
fn read(options: &Options, mut reader: Reader<'_>) -> Result<Summary> {
    let root = options.root.as_deref().unwrap_or(Path::new("/"));
    let shown = plain(&root.display().to_string());
    if !options.files.is_empty() {
        reader.files(&options.files);
    } else if root.is_dir() {
        reader.host(root);
    } else {
        bail!("{shown} is not a directory");
    }
    let summary = reader.finish();
    if !summary.sources.is_empty() {
        return Ok(summary);
    }
    let why: Vec<String> = summary.unreadable.iter().map(ToString::to_string).collect();
    if why.is_empty() {
        bail!(
            "found no kernel log below {shown}: looked for {}; name the files to read, or - for \
             standard input",
            sources::looked_for()
        );
    }
    bail!("no log could be read: {}", why.join("; "))
}
