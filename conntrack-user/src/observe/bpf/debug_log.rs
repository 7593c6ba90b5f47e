//! Log lines of the programs, on standard error. Only in builds with the
//! feature `debug-log`: they cost more than the programs themselves.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use log::{LevelFilter, Log, Metadata, Record};

/// Writes each line as it comes.
struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("ctdrop: {}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

static STDERR: Stderr = Stderr;

/// Shows the lines from now on, until the process ends.
pub(crate) fn show(maps: &mut aya::Ebpf) -> Result<()> {
    // An earlier observer of this process has set it already.
    let _ = log::set_logger(&STDERR);
    log::set_max_level(LevelFilter::Debug);
    let mut lines = EbpfLogger::init(maps).context("cannot read the log of the eBPF programs")?;
    thread::spawn(move || {
        loop {
            lines.flush();
            thread::sleep(Duration::from_millis(100));
        }
    });
    Ok(())
}
