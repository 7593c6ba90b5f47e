//! The systemd journal, through `journalctl`.

use std::{
    io::{self, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    input::progress::Progress,
    logs::{
        account::{
            attribution::Attribution,
            filter::{Covered, short},
        },
        format::{event::Event, journal, stamp::Stamp},
    },
    say::text::plain,
};

/// What was read of the journal.
pub(super) struct Journal {
    /// How much was read, in bytes.
    pub(super) bytes: u64,
    /// The hosts that have messages in it, and since when.
    pub(super) covered: Option<Covered>,
}

/// The fields that are needed: exporting all takes several times as long.
const FIELDS: &str =
    "--output-fields=MESSAGE,_HOSTNAME,_BOOT_ID,_TRANSPORT,_SOURCE_MONOTONIC_TIMESTAMP";

/// Reads the journal in a directory through the program that knows its files.
pub(super) fn read(
    directory: &Path,
    sums: &mut Attribution<'_>,
    progress: &mut dyn Progress,
) -> Result<Journal> {
    let mut export = run(directory, true, sums, progress)?;
    if export.entries == 0 && export.stderr.contains("output-fields") {
        // systemd before 236 does not know the option.
        export = run(directory, false, sums, progress)?;
    }
    let stderr = export.stderr.trim();
    if export.entries == 0 && !stderr.is_empty() {
        bail!("journalctl failed: {}", plain(stderr));
    }
    Ok(export.journal)
}

/// What journalctl has printed.
struct Export {
    journal: Journal,
    entries: u64,
    stderr: String,
}

fn run(
    directory: &Path,
    fields: bool,
    sums: &mut Attribution<'_>,
    progress: &mut dyn Progress,
) -> Result<Export> {
    let mut child = command(directory, fields)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run journalctl")?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        bail!("cannot read the output of journalctl");
    };
    let stderr = thread::spawn(move || all_of(stderr));
    let mut journal = Journal {
        bytes: 0,
        covered: None,
    };
    progress.begin("journal", None);
    let read = journal::export(
        BufReader::with_capacity(256 << 10, stdout),
        |event, reached| {
            journal.bytes = reached;
            progress.reached(reached);
            if let Some(event) = event {
                cover(&mut journal.covered, &event);
                sums.take(&event, &|_, _| false);
            }
        },
    );
    progress.end();
    child.wait().context("cannot wait for journalctl")?;
    let stderr = stderr.join().unwrap_or_default();
    let entries = read.context("cannot read the output of journalctl")?;
    Ok(Export {
        journal,
        entries,
        stderr,
    })
}

fn command(directory: &Path, fields: bool) -> Command {
    let mut command = Command::new("journalctl");
    if !(directory.starts_with("/var/log") || directory.starts_with("/run/log")) {
        command.arg("--directory").arg(directory);
    }
    command.args(["--no-pager", "--output=export"]);
    if fields {
        command.arg(FIELDS);
    }
    // Without it, starts of the kernel could not be told.
    command.arg("_TRANSPORT=kernel");
    command
}

/// The beginning of what a program says; the rest is read, too, so that the program
/// is not held up.
fn all_of(mut output: impl Read) -> String {
    let mut text = String::new();
    let _ = (&mut output).take(64 << 10).read_to_string(&mut text);
    let _ = io::copy(&mut output, &mut io::sink());
    text
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
