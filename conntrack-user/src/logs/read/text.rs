//! Searches the text of a log, in memory or as a stream.

use std::{
    io::{self, BufRead, BufReader, Read},
    num::NonZeroUsize,
};

use jiff::tz::TimeZone;

use crate::{
    input::{
        file::{Content, release},
        progress::Progress,
    },
    kernel::message::Message,
    logs::{
        account::{attribution::Attribution, year::YearTracker},
        format::{
            event::{Event, What},
            journal,
            line::Line,
            unknown::Form,
        },
        read::part::Part,
        search::{
            blocks,
            scanner::{Found, LONGEST, Scanner, Skipped},
            text_share::TextShare,
        },
    },
};

/// Stamps that are looked at beforehand, to tell the years of a log.
const SAMPLES: usize = 256;

/// How much of a mapped file is kept in memory after it has been searched.
const KEPT: usize = 32 << 20;

/// Searches the text of logs.
pub(super) struct TextReader {
    threads: NonZeroUsize,
    /// For text in memory.
    scanner: Scanner,
    /// For text that is read once.
    streams: Scanner,
}

/// What was found besides events.
#[derive(Debug, Default)]
pub(super) struct Searched {
    /// How much of it is text.
    pub(super) text_share: TextShare,
    /// Lines that were not counted.
    pub(super) skipped: Skipped,
    /// Whether there was a message of the kernel about a full table.
    pub(super) full: bool,
    /// Lines about a full table in a form that is not known, and which.
    pub(super) unknown: Option<(u64, Form)>,
}

impl Searched {
    fn take(&mut self, found: &Found) {
        self.text_share += found.text_share;
        self.skipped.add(found.skipped);
        self.full |= found
            .events
            .iter()
            .any(|event| matches!(event.what, What::Message(Message::TableFull { .. }, _)));
        if let Some((lines, form)) = &found.unknown {
            self.unknown.get_or_insert_with(|| (0, form.clone())).0 += lines;
        }
    }
}

impl TextReader {
    /// One that searches with so many threads.
    pub(super) fn new(threads: NonZeroUsize) -> Self {
        Self {
            threads,
            scanner: Scanner::default(),
            streams: Scanner::for_streams(),
        }
    }

    /// Searches a file, and says besides whether all of it could be read.
    pub(super) fn part(
        &self,
        part: Part,
        sums: &mut Attribution<'_>,
        progress: &mut dyn Progress,
    ) -> (Searched, io::Result<()>) {
        let map = match part.content {
            Content::Stream(stream) => return self.stream(stream, sums, progress),
            Content::Read(bytes) => return self.in_memory(&bytes, |_, _| (), sums, progress),
            Content::Mapped(map) => map,
        };
        self.in_memory(&map, |from, to| release(&map, from, to), sums, progress)
    }

    /// Searches text in memory, and calls `done` with the bounds of what is not
    /// needed any more.
    fn in_memory(
        &self,
        bytes: &[u8],
        done: impl Fn(usize, usize),
        sums: &mut Attribution<'_>,
        progress: &mut dyn Progress,
    ) -> (Searched, io::Result<()>) {
        let mut searched = Searched::default();
        if let Some(read) = whole_entries(bytes, bytes, sums, progress) {
            return read;
        }
        let boot = |from: u64, to: u64| {
            let place = |at| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            self.scanner
                .has_boot(&bytes[place(from).min(place(to))..place(to)])
        };
        let mut kept = 0;
        sums.reads_lines();
        blocks::scan_all(
            bytes,
            self.threads.get(),
            &self.scanner,
            |found, reached| {
                searched.take(&found);
                take_found(sums, &found, &boot);
                progress.reached(reached as u64);
                if reached - kept >= KEPT {
                    done(kept, reached);
                    kept = reached;
                }
            },
        );
        sums.end_part(bytes.len() as u64, &boot);
        (searched, Ok(()))
    }

    /// Searches a stream, as far as it can be read.
    pub(super) fn stream(
        &self,
        stream: Box<dyn Read>,
        sums: &mut Attribution<'_>,
        progress: &mut dyn Progress,
    ) -> (Searched, io::Result<()>) {
        let mut searched = Searched::default();
        let mut stream = BufReader::with_capacity(64 << 10, stream);
        let begin = match stream.fill_buf() {
            Ok(begin) => begin[..begin.len().min(BEGIN)].to_vec(),
            Err(error) => return (searched, Err(error)),
        };
        if let Some(read) = whole_entries(&begin, &mut stream, sums, progress) {
            return read;
        }
        // Starts of the kernel are events of their own here.
        let boot = |_, _| false;
        let mut reached = 0;
        sums.reads_lines();
        let outcome = blocks::scan_stream(stream, &self.streams, |found, length| {
            searched.take(&found);
            take_found(sums, &found, &boot);
            reached += length as u64;
            progress.reached(reached);
        });
        sums.end_part(reached, &boot);
        (searched, outcome)
    }
}

/// The year that a part begins in which covers more than one.
pub(super) fn begin_year(zone: TimeZone, part: &Part) -> Option<i16> {
    let bytes = part.bytes()?;
    let step = (bytes.len() / SAMPLES).max(1);
    let stamps = (0..bytes.len()).step_by(step).filter_map(|from| {
        let piece = &bytes[from..(from + LONGEST).min(bytes.len())];
        let start = if from == 0 {
            0
        } else {
            memchr::memchr(b'\n', piece)? + 1
        };
        let line = &piece[start..];
        let end = memchr::memchr(b'\n', line).unwrap_or(line.len());
        Some(Line::parse(&line[..end]).stamp)
    });
    YearTracker::begin_year(zone, part.written, stamps)
}

fn take_found(sums: &mut Attribution<'_>, found: &Found, boot: &dyn Fn(u64, u64) -> bool) {
    if let Some(stamp) = found.first {
        sums.pass(stamp);
    }
    for event in &found.events {
        sums.take(event, boot);
    }
}

/// How much of a log tells whether it has entries of several lines.
const BEGIN: usize = 64;

/// Reads a log that has entries of several lines, as `journalctl` writes them with `-o
/// export` and `-o json-pretty`. None: it is no such log.
fn whole_entries(
    begin: &[u8],
    source: impl BufRead,
    sums: &mut Attribution<'_>,
    progress: &mut dyn Progress,
) -> Option<(Searched, io::Result<()>)> {
    let take = |event: Option<Event>, reached| {
        if let Some(event) = event {
            sums.take(&event, &|_, _| false);
        }
        progress.reached(reached);
    };
    let mut searched = Searched::default();
    if begin.starts_with(journal::EXPORT) {
        return Some((searched, journal::export(source, take).map(|_| ())));
    }
    journal::is_pretty(begin).then(|| {
        let outcome = journal::pretty(source, take).unwrap_or_else(|| {
            searched.unknown = Some((1, Form::json(begin)));
            Ok(())
        });
        (searched, outcome)
    })
}
