//! Reads the logs, one after the other.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
    num::NonZeroUsize,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use jiff::tz::TimeZone;
use rustix::{
    system::uname,
    time::{ClockId, clock_gettime},
};

use crate::{
    kernel::{kmsg::KernelLog, message::Message},
    logs::{
        blocks,
        burst::{Bursts, Covered, Filter, Generations, Loaded, short},
        chronology::Chronology,
        excluded::Excluded,
        journal,
        legible::Legible,
        line::Line,
        part::{self, Content, Part},
        progress::Progress,
        scan::{Event, Found, LONGEST, Scanner, Skipped, What},
        source::{self, Log},
        stamp::Stamp,
        tally::Tally,
        when::When,
    },
    say::text::plain,
};

/// Stamps that are looked at beforehand, to tell the years of a log.
const SAMPLES: usize = 256;

/// How much of a mapped file is kept in memory after it has been searched.
const KEPT: usize = 32 << 20;

/// What of the logs to count, and how to read them.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Only lines from this time on.
    pub since: Option<When>,
    /// Only lines before this time.
    pub until: Option<When>,
    /// Only lines of these hosts; of all if there is none.
    pub hosts: Vec<String>,
    /// The year that each log begins in, where its times have none.
    pub year: Option<i16>,
    /// Threads that search; one for each processor if none is given.
    pub threads: Option<NonZeroUsize>,
}

/// No time is both since the one and until the other, so that nothing can be
/// found: wrong usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyPeriod {
    /// Microseconds since 1970.
    since: i64,
    /// Microseconds since 1970.
    until: i64,
}

impl fmt::Display for EmptyPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |at| {
            jiff::Timestamp::from_microsecond(at)
                .map_or_else(|_| at.to_string(), |at| at.to_string())
        };
        write!(
            f,
            "nothing is both since {} and until {}: --since is to be the earlier one",
            shown(self.since),
            shown(self.until)
        )
    }
}

impl std::error::Error for EmptyPeriod {}

/// Something that was read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Source {
    /// A path, `stdin`, `journal` or `/dev/kmsg`.
    pub source: String,
    /// How much of it, as it is stored.
    pub bytes: u64,
}

/// Something that was not, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Unreadable {
    /// A path, `stdin`, `journal` or `/dev/kmsg`.
    pub source: String,
    /// The error.
    pub why: String,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Findings {
    /// The counts of all logs.
    pub tally: Tally,
    /// Starts of conntrack, with the names of their hosts.
    pub loads: Vec<(Loaded, Option<Box<[u8]>>)>,
    /// Messages held back for others.
    pub elsewhere: u64,
    /// Lines that were not asked for.
    pub excluded: Excluded,
    /// The kernels that have written.
    pub generations: Generations,
    /// What was read.
    pub sources: Vec<Source>,
    /// What was not.
    pub unreadable: Vec<Unreadable>,
    /// Lines that were not counted.
    pub skipped: Skipped,
    /// Records of the kernel's log overwritten before they could be read.
    pub lost: u64,
    /// What may be wrong, in sentences.
    pub warnings: Vec<String>,
}

/// Reads logs and adds them up.
pub(super) struct Reading {
    threads: usize,
    zone: TimeZone,
    year: Option<i16>,
    filter: Filter,
    scanner: Scanner,
    streams: Scanner,
    /// The files of logs, apart from the journal: two may be of one host.
    files: Tally,
    read: Findings,
}

impl Reading {
    /// Begins, with what is asked for.
    ///
    /// # Errors
    ///
    /// A time that there is not in this zone, or an [`EmptyPeriod`].
    pub(super) fn new(request: &Request, zone: TimeZone) -> Result<Self> {
        let resolve = |when: Option<When>| when.map(|when| when.resolve(&zone)).transpose();
        let (since, until) = (resolve(request.since)?, resolve(request.until)?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(EmptyPeriod { since, until }.into());
        }
        let filter = Filter {
            since,
            until,
            hosts: request.hosts.clone(),
            covered: None,
        };
        let threads = request
            .threads
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        Ok(Self {
            threads,
            zone,
            year: request.year,
            filter,
            scanner: Scanner::default(),
            streams: Scanner::for_streams(),
            files: Tally::default(),
            read: Findings::default(),
        })
    }

    /// Reads the files that are given; `-` is standard input.
    pub(super) fn files(&mut self, files: &[PathBuf]) {
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
                self.read.warnings.push(format!(
                    "{} was given twice, and is counted once",
                    shown(file)
                ));
                continue;
            }
            seen.push(identity);
            if source::is_kernel_log(file) {
                self.kernel_log();
            } else {
                wanted.push(file.clone());
            }
        }
        for log in source::logs(wanted) {
            self.log(&log);
        }
        if !stdin.is_empty() {
            self.standard_input();
        }
    }

    /// Reads what the system below `root` has: the journal, before that the
    /// files; the kernel's own log if there is neither.
    pub(super) fn host(&mut self, root: &Path) {
        if let Some(directory) = source::journal(root) {
            self.journal(&directory);
        }
        match source::usual(root) {
            Ok(Some(log)) => self.log(&log),
            Ok(None) => {}
            Err(error) => self.unreadable(shown(&root.join(source::DIRECTORY)), &error.into()),
        }
        if root == Path::new("/") && self.read.sources.is_empty() {
            self.kernel_log();
        }
    }

    /// Ends.
    pub(super) fn finish(mut self) -> Findings {
        self.read.tally.merge(&self.files, true);
        self.read
    }

    fn unreadable(&mut self, source: String, error: &anyhow::Error) {
        let why = plain(&format!("{error:#}"));
        self.read.unreadable.push(Unreadable { source, why });
    }

    fn log(&mut self, log: &Log) {
        let filter = self.filter.clone();
        let mut bursts = Bursts::new(&filter, Chronology::new(self.zone.clone()));
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
            let (length, written) = (part.length, part.written);
            let begins = years.or_else(|| self.begin_year(&part));
            bursts.begin_part(written, begins);
            let outcome = self.part(path, part, &mut bursts);
            // What was asked for is the year of the oldest part.
            years = years.and(bursts.year()).or(years);
            match outcome {
                Ok(legible) => {
                    if self.is_log(&shown(path), legible) {
                        self.read.sources.push(Source {
                            source: shown(path),
                            bytes: length,
                        });
                    }
                }
                Err(error) => {
                    let error = anyhow::Error::from(error).context("not read to its end");
                    self.unreadable(shown(path), &error);
                    self.read.sources.push(Source {
                        source: shown(path),
                        bytes: length,
                    });
                }
            }
        }
        self.take(
            bursts,
            false,
            &log.parts.last().map(|path| shown(path)).unwrap_or_default(),
        );
    }

    /// Whether something that was read is a log; says so if it is none.
    fn is_log(&mut self, name: &str, legible: Legible) -> bool {
        if legible.is_none() {
            let why = anyhow::anyhow!(
                "it is no log: there is hardly any text in it, and no line about conntrack"
            );
            self.unreadable(name.to_owned(), &why);
        } else if legible.is_hardly() {
            self.read.warnings.push(format!(
                "{name} is hardly a log: most of it is no text, and is not understood"
            ));
        }
        !legible.is_none()
    }

    fn take(&mut self, bursts: Bursts<'_>, disjoint: bool, name: &str) {
        let said = bursts.finish();
        if said.overshoot > 0 {
            self.read.warnings.push(format!(
                "{name} covers more than a year, so its years may be wrong: give the one that it \
                 begins in (--year)"
            ));
        }
        for load in said.loads {
            let host = said.tally.name(load.host).map(Into::into);
            self.read.loads.push((load, host));
        }
        self.read.elsewhere += said.elsewhere;
        self.read.excluded.add(said.excluded);
        self.read.generations.ip |= said.generations.ip;
        self.read.generations.nf |= said.generations.nf;
        if disjoint {
            self.read.tally.merge(&said.tally, true);
        } else {
            self.files.merge(&said.tally, false);
        }
    }

    /// The year that a part begins in which covers more than one.
    fn begin_year(&self, part: &Part) -> Option<i16> {
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
        Chronology::begin_year(self.zone.clone(), part.written, stamps)
    }

    fn part(&mut self, path: &Path, part: Part, bursts: &mut Bursts<'_>) -> io::Result<Legible> {
        let mut legible = Legible::default();
        let length = part.bytes().map(|bytes| bytes.len() as u64);
        let mut progress = Progress::begin(shown(path), length);
        if let Some(bytes) = part.bytes() {
            if bytes.starts_with(journal::EXPORT) {
                return export(bytes, bursts, &mut progress).map(|_| legible);
            }
            let boot = |from: u64, to: u64| {
                let place = |at| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                self.scanner
                    .has_boot(&bytes[place(from).min(place(to))..place(to)])
            };
            let mut kept = 0;
            blocks::scan_all(bytes, self.threads, &self.scanner, |found, reached| {
                self.read.skipped.add(found.skipped);
                legible += found.legible;
                take_found(bursts, &found, &boot);
                progress.reached(reached as u64);
                if let Content::Mapped(map) = &part.content
                    && reached - kept >= KEPT
                {
                    release(map, kept, reached);
                    kept = reached;
                }
            });
            bursts.end_part(bytes.len() as u64, &boot);
            return Ok(legible);
        }
        let Content::Stream(stream) = part.content else {
            return Ok(legible);
        };
        self.stream(stream, bursts, &mut progress)
    }

    fn stream(
        &mut self,
        stream: Box<dyn Read>,
        bursts: &mut Bursts<'_>,
        progress: &mut Progress,
    ) -> io::Result<Legible> {
        let mut legible = Legible::default();
        let mut stream = BufReader::with_capacity(64 << 10, stream);
        if stream.fill_buf()?.starts_with(journal::EXPORT) {
            return export(stream, bursts, progress).map(|_| legible);
        }
        // Starts of the kernel are events of their own here.
        let boot = |_, _| false;
        let mut reached = 0;
        let outcome = blocks::scan_stream(stream, &self.streams, |found, length| {
            self.read.skipped.add(found.skipped);
            legible += found.legible;
            take_found(bursts, &found, &boot);
            reached += length as u64;
            progress.reached(reached);
        });
        bursts.end_part(reached, &boot);
        outcome.map(|()| legible)
    }

    fn standard_input(&mut self) {
        let filter = self.filter.clone();
        let mut bursts = Bursts::new(&filter, Chronology::new(self.zone.clone()));
        bursts.begin_part(super::now(), self.year);
        let mut progress = Progress::begin("stdin".to_owned(), None);
        let outcome = part::decompressed(io::stdin())
            .and_then(|stream| self.stream(stream, &mut bursts, &mut progress));
        drop(progress);
        let read = match outcome {
            Ok(legible) => self.is_log("stdin", legible),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.unreadable("stdin".to_owned(), &error.into());
                false
            }
            Err(error) => {
                let error = anyhow::Error::from(error).context("not read to its end");
                self.unreadable("stdin".to_owned(), &error);
                true
            }
        };
        if read {
            self.read.sources.push(Source {
                source: "stdin".to_owned(),
                bytes: 0,
            });
        }
        self.take(bursts, false, "stdin");
    }

    /// Reads the journal by the program that knows its files.
    fn journal(&mut self, directory: &Path) {
        let filter = self.filter.clone();
        let mut bursts = Bursts::new(&filter, Chronology::new(self.zone.clone()));
        bursts.begin_part(super::now(), None);
        match run_journalctl(directory, &mut bursts) {
            Ok(Journal { bytes, covered }) => {
                self.read.sources.push(Source {
                    source: "journal".to_owned(),
                    bytes,
                });
                self.filter.covered = covered;
                self.take(bursts, true, "journal");
            }
            Err(error) => self.unreadable("journal".to_owned(), &error),
        }
    }

    /// Reads what the kernel still has in memory.
    fn kernel_log(&mut self) {
        let filter = self.filter.clone();
        let mut bursts = Bursts::new(&filter, Chronology::new(self.zone.clone()));
        let mut bytes = 0;
        let host: Box<[u8]> = uname().nodename().to_bytes().into();
        let started = super::now() - since_start();
        let outcome = KernelLog::from_start().and_then(|mut log| {
            log.read(|record| {
                bytes += record.text.len() as u64;
                if let Some(message) = Message::parse(record.text) {
                    let event = Event {
                        at: (bytes, bytes),
                        stamp: Stamp::At(started + record.uptime.cast_signed()),
                        uptime: Some(record.uptime),
                        host: Some(host.clone()),
                        boot: None,
                        what: What::Said(message, 1),
                    };
                    bursts.take(&event, &|_, _| false);
                }
            })?;
            Ok(log.lost())
        });
        match outcome {
            Ok(lost) => {
                self.read.lost += lost;
                self.read.sources.push(Source {
                    source: "/dev/kmsg".to_owned(),
                    bytes,
                });
                self.take(bursts, true, "/dev/kmsg");
            }
            Err(error) => self.unreadable("/dev/kmsg".to_owned(), &error),
        }
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

fn take_found(bursts: &mut Bursts<'_>, found: &Found, boot: &dyn Fn(u64, u64) -> bool) {
    if let Some(stamp) = found.first {
        bursts.pass(stamp);
    }
    for event in &found.events {
        bursts.take(event, boot);
    }
}

/// Gives back the memory of a part that has been searched.
fn release(map: &memmap2::Mmap, from: usize, to: usize) {
    // SAFETY: the mapping is of a file and read-only; what is looked at again is
    // read from the file again.
    let _ =
        unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from) };
}

/// Microseconds since the kernel has started, asleep or awake.
fn since_start() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}

/// Remembers from when on the journal has what a host says.
fn cover(covered: &mut Option<Covered>, event: &Event) {
    let (Some(host), Stamp::At(at)) = (&event.host, event.stamp) else {
        return;
    };
    let covered = covered.get_or_insert_with(|| Covered {
        from: at,
        hosts: Vec::new(),
    });
    covered.from = covered.from.min(at);
    let host: Box<[u8]> = short(host).into();
    if !covered.hosts.contains(&host) {
        covered.hosts.push(host);
    }
}

/// Reads the journal's export format.
fn export(
    source: impl BufRead,
    bursts: &mut Bursts<'_>,
    progress: &mut Progress,
) -> io::Result<u64> {
    journal::export(source, |event, reached| {
        if let Some(event) = event {
            bursts.take(&event, &|_, _| false);
        }
        progress.reached(reached);
    })
}

/// What the journal had.
struct Journal {
    bytes: u64,
    covered: Option<Covered>,
}

/// The fields that are needed: exporting all takes several times as long.
const FIELDS: &str =
    "--output-fields=MESSAGE,_HOSTNAME,_BOOT_ID,_TRANSPORT,_SOURCE_MONOTONIC_TIMESTAMP";

fn run_journalctl(directory: &Path, bursts: &mut Bursts<'_>) -> Result<Journal> {
    let live = directory.starts_with("/var/log") || directory.starts_with("/run/log");
    let run = |bursts: &mut Bursts<'_>, fields: bool| -> Result<(Journal, u64, String)> {
        let mut command = Command::new("journalctl");
        if !live {
            command.arg("--directory").arg(directory);
        }
        command.args(["--no-pager", "--output=export"]);
        if fields {
            command.arg(FIELDS);
        }
        // Without it, starts of the kernel could not be told.
        command.arg("_TRANSPORT=kernel");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run journalctl")?;
        let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            bail!("cannot read what journalctl writes");
        };
        let complaint = thread::spawn(move || {
            let mut text = String::new();
            let _ = (&mut stderr).take(64 << 10).read_to_string(&mut text);
            let _ = io::copy(&mut stderr, &mut io::sink());
            text
        });
        let mut progress = Progress::begin("journal".to_owned(), None);
        let mut journal = Journal {
            bytes: 0,
            covered: None,
        };
        let read = journal::export(
            BufReader::with_capacity(256 << 10, stdout),
            |event, reached| {
                journal.bytes = reached;
                progress.reached(reached);
                if let Some(event) = event {
                    cover(&mut journal.covered, &event);
                    bursts.take(&event, &|_, _| false);
                }
            },
        );
        let status = child.wait().context("cannot wait for journalctl")?;
        let complaint = complaint.join().unwrap_or_default();
        let entries = read.context("cannot read what journalctl writes")?;
        if !status.success() && entries == 0 {
            return Ok((journal, 0, complaint));
        }
        Ok((journal, entries, complaint))
    };
    let (mut journal, mut entries, mut complaint) = run(bursts, true)?;
    if entries == 0 && complaint.contains("output-fields") {
        // systemd before 236 does not know the option.
        (journal, entries, complaint) = run(bursts, false)?;
    }
    let complaint = complaint.trim();
    if entries == 0 && !complaint.is_empty() {
        bail!("journalctl says: {}", plain(complaint));
    }
    Ok(journal)
}
