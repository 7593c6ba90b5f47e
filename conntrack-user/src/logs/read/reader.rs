//! Reads logs, one after the other, and adds them up.

use std::{
    io,
    num::NonZeroUsize,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Result, anyhow};
use jiff::tz::TimeZone;

use crate::{
    input::{file, progress::Progress},
    logs::{
        account::{
            attribution::Attribution, filter::Filter, sums::LogSums, tally::Tally,
            year::YearTracker,
        },
        read::{
            COMMAND, journalctl, kernel_log,
            part::{self, Part},
            request::Request,
            sources::{self, Log},
            summary::{Source, Summary, Unreadable},
            text::{self, Searched, TextReader},
        },
        time::now,
    },
    say::{number::counted, text::plain},
};

/// What standard input is called.
const STDIN: &str = "stdin";

/// Reads logs and adds them up.
pub struct Reader<'a> {
    zone: TimeZone,
    year: Option<i16>,
    filter: Filter,
    text: TextReader,
    progress: &'a mut dyn Progress,
    /// The counts of files, apart from the journal's: two files may have the
    /// messages of one host.
    files: Tally,
    summary: Summary,
}

impl<'a> Reader<'a> {
    /// Begins, for logs in this time zone.
    ///
    /// # Errors
    ///
    /// A time that does not exist in this zone, or an empty period.
    pub fn new(request: &Request, zone: TimeZone, progress: &'a mut dyn Progress) -> Result<Self> {
        let threads = request
            .threads
            .or_else(|| thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            filter: request.filter(&zone)?,
            zone,
            year: request.year,
            text: TextReader::new(threads),
            progress,
            files: Tally::default(),
            summary: Summary::default(),
        })
    }
}

impl Reader<'_> {
    /// Reads the files that are given; `-` is standard input.
    pub fn files(&mut self, files: &[PathBuf]) {
        let (stdin, files): (Vec<_>, Vec<_>) =
            files.iter().partition(|file| file.as_os_str() == "-");
        let mut seen = Vec::new();
        let mut wanted = Vec::new();
        for file in files {
            // Under two names it is still one log.
            let identity = file
                .metadata()
                .ok()
                .map(|metadata| (metadata.dev(), metadata.ino()));
            if identity.is_some() && seen.contains(&identity) {
                self.summary.warnings.push(format!(
                    "{} was given twice; it is counted once",
                    shown(file)
                ));
                continue;
            }
            seen.push(identity);
            if sources::is_kernel_log(file) {
                self.kernel_log();
            } else {
                wanted.push(file.clone());
            }
        }
        for log in sources::logs(wanted) {
            self.log(&log);
        }
        if !stdin.is_empty() {
            self.standard_input();
        }
    }

    /// Reads what the system below `root` has: the journal, before that the
    /// files; the kernel's own log if there is neither.
    pub fn host(&mut self, root: &Path) {
        if let Some(directory) = sources::journal(root) {
            self.journal(&directory);
        }
        match sources::usual(root) {
            Ok(Some(log)) => self.log(&log),
            Ok(None) => {}
            Err(error) => self.unreadable(shown(&root.join(sources::DIRECTORY)), &error.into()),
        }
        if root == Path::new("/") && self.summary.sources.is_empty() {
            self.kernel_log();
        }
    }

    /// Ends.
    pub fn finish(mut self) -> Summary {
        self.summary.tally.merge(&self.files, true);
        self.summary
    }

    fn log(&mut self, log: &Log) {
        let filter = self.filter.clone();
        let mut sums = self.sums(&filter);
        let mut years = self.year;
        for (path, latest) in log.parts.iter().zip(latest(&log.parts)) {
            let mut part = match Part::open(path) {
                Ok(part) => part,
                Err(error) => {
                    self.unreadable(shown(path), &error);
                    continue;
                }
            };
            part.written = part.written.min(latest);
            let length = part.length;
            let begins = years.or_else(|| text::begin_year(self.zone.clone(), &part));
            sums.begin_part(part.written, begins);
            let in_memory = part.bytes().map(|bytes| bytes.len() as u64);
            self.progress.begin(&shown(path), in_memory);
            let (searched, outcome) = self.text.part(part, &mut sums, self.progress);
            self.progress.end();
            // What was asked for is the year of the oldest part.
            years = years.and(sums.year()).or(years);
            self.searched(shown(path), length, &searched, outcome);
        }
        let name = log.parts.last().map(|path| shown(path));
        let sums = self.finished(sums, &name.unwrap_or_default());
        self.files.merge(&sums.tally, false);
        self.summary.add(sums);
    }

    fn standard_input(&mut self) {
        let filter = self.filter.clone();
        let mut sums = self.sums(&filter);
        sums.begin_part(now(), self.year);
        let name = STDIN;
        let stream = match file::standard_input(COMMAND) {
            Ok(stream) => stream,
            Err(error) => return self.unreadable(name.to_owned(), &error.into()),
        };
        self.progress.begin(name, None);
        let (searched, outcome) = self.text.stream(stream, &mut sums, self.progress);
        self.progress.end();
        self.searched(name.to_owned(), 0, &searched, outcome);
        let sums = self.finished(sums, name);
        self.files.merge(&sums.tally, false);
        self.summary.add(sums);
    }

    /// Reads the journal through the program that knows its files.
    fn journal(&mut self, directory: &Path) {
        let filter = self.filter.clone();
        let mut sums = self.sums(&filter);
        sums.begin_part(now(), None);
        let name = "journal";
        match journalctl::read(directory, &mut sums, self.progress) {
            Ok(journal) => {
                self.source(name.to_owned(), journal.bytes);
                self.filter.covered = journal.covered;
                self.apart(sums, name);
            }
            Err(error) => self.unreadable(name.to_owned(), &error),
        }
    }

    /// Reads what the kernel still has in memory.
    fn kernel_log(&mut self) {
        let filter = self.filter.clone();
        let mut sums = self.sums(&filter);
        let name = "/dev/kmsg";
        match kernel_log::read(&mut sums) {
            Ok(kernel_log::Read { bytes, lost }) => {
                self.summary.lost += lost;
                self.source(name.to_owned(), bytes);
                self.apart(sums, name);
            }
            Err(error) => self.unreadable(name.to_owned(), &error),
        }
    }

    fn sums<'a>(&self, filter: &'a Filter) -> Attribution<'a> {
        Attribution::new(filter, YearTracker::new(self.zone.clone()))
    }

    /// Notes what was found in a text besides events, and whether it is a log.
    fn searched(&mut self, name: String, bytes: u64, searched: &Searched, outcome: io::Result<()>) {
        self.summary.skipped.add(searched.skipped);
        let unknown = searched.unknown.as_ref().filter(|_| !searched.full);
        if let Err(error) = outcome {
            let error = anyhow::Error::from(error).context("not read to its end");
            self.unreadable(name.clone(), &error);
        } else if searched.text_share.is_no_log() {
            let why =
                anyhow!("it is not a log: it has hardly any text, and no line about conntrack");
            return self.unreadable(name, &why);
        } else if let Some((_, form)) = unknown {
            let file = if name == STDIN { "FILE" } else { &name };
            let why = anyhow!(form.remedy(&name, file));
            return self.unreadable(name, &why);
        } else if searched.text_share.is_mostly_binary() {
            self.summary.warnings.push(format!(
                "{name} is mostly binary data: is it a log? Only its text was searched"
            ));
        }
        if let Some((lines, _)) = &searched.unknown {
            self.summary.warnings.push(format!(
                "{name} has {} about a full table in a form that ctdrop does not know: it is not \
                 known whether the kernel wrote them",
                counted(*lines, "line")
            ));
        }
        self.source(name, bytes);
    }

    fn source(&mut self, source: String, bytes: u64) {
        self.summary.sources.push(Source { source, bytes });
    }

    fn unreadable(&mut self, source: String, error: &anyhow::Error) {
        let why = plain(&format!("{error:#}"));
        self.summary.unreadable.push(Unreadable { source, why });
    }

    /// The sums of a log that has been read, with a warning if its years may be
    /// wrong.
    fn finished(&mut self, sums: Attribution<'_>, name: &str) -> LogSums {
        let sums = sums.finish();
        if sums.overshoot > 0 {
            self.summary.warnings.push(format!(
                "{name} covers more than one year, so its years may be wrong: give the year that \
                 it begins in (--year)"
            ));
        }
        sums
    }

    /// Takes in the sums of a log whose messages no file has, too.
    fn apart(&mut self, sums: Attribution<'_>, name: &str) {
        let sums = self.finished(sums, name);
        self.summary.tally.merge(&sums.tally, true);
        self.summary.add(sums);
    }
}

/// For each part the time that it was written last at the latest: no later than
/// the parts after it, whatever was done to the file since.
fn latest(parts: &[PathBuf]) -> Vec<i64> {
    let mut latest: Vec<i64> = parts
        .iter()
        .rev()
        .map(|path| {
            path.metadata()
                .map_or(i64::MAX, |metadata| part::written(&metadata))
        })
        .scan(i64::MAX, |bound, written| {
            *bound = written.min(*bound);
            Some(*bound)
        })
        .collect();
    latest.reverse();
    latest
}

fn shown(path: &Path) -> String {
    plain(&path.display().to_string())
}
