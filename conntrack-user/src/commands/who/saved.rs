//! `ctdrop who --from`: who filled a table that somebody has saved.

use std::{num::NonZero, path::Path, thread, time::Instant};

use anyhow::{Result, bail};

use crate::{
    commands::{
        bar::Files,
        who::{
            report::{Context, NamespaceReport, Seen},
            saved_file::SavedFile,
        },
    },
    incident::{Evidence, Netns, thresholds},
    input::{
        file::{self, Content},
        progress::Progress as _,
    },
    kernel::limits::Limits,
    say::{clock, text::plain},
    table::{
        aggregate::{Circumstances, MANY_KEYS},
        dump::Outcome,
        entry::Rules,
        filter::Filter,
        owners::Owners,
        saved::{self, SAVED, words},
        timeouts::Timeouts,
    },
};

/// What standard input is called.
const STDIN: &str = "stdin";

/// What reads a table that another program decompresses.
const COMMAND: &str = "ctdrop who --from -";

/// Reads a saved table; `filter` and `top` as in [`crate::commands::who::Options`].
pub(super) fn read(file: &Path, filter: &Filter, top: usize) -> Result<NamespaceReport> {
    let (name, content) = open(file)?;
    report(&name, content, filter, top)
}

/// A file, or `-` for standard input, and what it is called.
fn open(file: &Path) -> Result<(String, Content)> {
    if file.as_os_str() == "-" {
        let stream = file::standard_input(COMMAND)?;
        return Ok((STDIN.to_owned(), Content::Stream(stream)));
    }
    let (content, _) = file::open(file, "name the file with the table", COMMAND)?;
    Ok((plain(&file.display().to_string()), content))
}

/// The report about a saved table.
fn report(name: &str, content: Content, filter: &Filter, top: usize) -> Result<NamespaceReport> {
    let began = Instant::now();
    let circumstances = Circumstances {
        rules: Rules::of((0, 0)),
        timeouts: Timeouts::or_default(|_| None),
        now: SAVED,
        idle_after: thresholds::IDLE,
        keys: MANY_KEYS,
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut progress = Files::default();
    progress.begin(name, content.bytes().map(|bytes| bytes.len() as u64));
    let (sums, reading) =
        saved::add_up(content, threads, filter, circumstances, true, &mut progress);
    progress.end();
    if let Some(why) = words::no_table(&reading, name) {
        bail!(why);
    }
    let seen = Seen {
        sums,
        outcome: Outcome {
            received: reading.entries,
            unreadable: reading.malformed,
            discarded: reading.discarded,
            ..Outcome::default()
        },
        time: clock::now(),
        seconds: began.elapsed().as_secs_f64(),
        attempts: 1,
        before: Limits::default(),
        after: Limits::default(),
    };
    let netns = Netns {
        name: name.to_owned(),
        ..Netns::of_tree()
    };
    let surroundings = Context {
        container: None,
        owners: &Owners::default(),
        filter,
        evidence: Evidence {
            netns,
            entries: Some(reading.entries),
            lacks_counters: true,
            ..Evidence::default()
        },
        top,
    };
    let mut report = NamespaceReport::new(&seen, &surroundings);
    // No kernel has chosen anything.
    report.dump.filtered_by_kernel.clear();
    report.dump.filtered_here = filter.criteria().collect();
    report.saved = Some(SavedFile::new(name, reading));
    Ok(report)
}

#[cfg(test)]
mod tests;
