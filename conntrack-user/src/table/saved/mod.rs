//! A table that somebody has saved: the output of `conntrack -L`, as text or XML, or
//! a copy of `/proc/net/nf_conntrack` or `/proc/net/ip_conntrack`.
//!
//! A thread for each processor takes blocks of lines apart, and one adds the entries
//! up, as it does with those of a dump. Which form a line has is seen line by line,
//! so that several outputs in one file are read as well.

mod block;
mod cursor;
mod draft;
mod line;
mod notice;
pub mod reading;
#[cfg(test)]
mod tests;
pub mod words;
mod xml;

use std::io;

pub use self::draft::SAVED;
use crate::{
    input::{
        blocks,
        file::{Content, release},
        progress::Progress,
    },
    table::{
        aggregate::{Aggregate, Circumstances},
        entry::Entry,
        filter::Filter,
        owners::Owners,
        saved::{block::Block, reading::Reading},
    },
};

/// How much of a mapped file is kept in memory after it has been read.
const KEPT: usize = 32 << 20;

/// Reads a saved table with so many threads, and calls `visit` with each entry that
/// is asked for, in the order of the table.
pub fn read(
    content: Content,
    threads: usize,
    filter: &Filter,
    visit: &mut impl FnMut(&Entry),
    progress: &mut dyn Progress,
) -> Reading {
    let mut reading = Reading::default();
    let mut take = |block: Block, reading: &mut Reading| {
        block.entries.iter().for_each(&mut *visit);
        reading.add(block.reading);
    };
    let search = |lines: &[u8], _| Block::read(lines, filter);
    match &content {
        Content::Stream(_) => {}
        Content::Read(bytes) => {
            reading.bytes = bytes.len() as u64;
            blocks::scan_all(bytes, threads, search, |block, reached| {
                take(block, &mut reading);
                progress.reached(reached as u64);
            });
        }
        Content::Mapped(map) => {
            let mut kept = 0;
            reading.bytes = map.len() as u64;
            blocks::scan_all(map, threads, search, |block, reached| {
                take(block, &mut reading);
                progress.reached(reached as u64);
                if reached - kept >= KEPT {
                    release(map, kept, reached);
                    kept = reached;
                }
            });
        }
    }
    if let Content::Stream(stream) = content {
        let mut bytes = 0;
        let outcome = blocks::scan_stream(stream, search, |block, length| {
            take(block, &mut reading);
            bytes += length as u64;
            progress.reached(bytes);
        });
        reading.bytes = bytes;
        reading.not_read = outcome.err().map(|error: io::Error| error.to_string());
    }
    reading.cut |= reading.open > 0;
    reading
}

/// A saved table added up, as one that was dumped is; addresses have no owners, as
/// the namespaces of another host are not known.
///
/// The timeouts of `circumstances` may be only `assumed`, as a table does not have
/// them. Where then no established connection had a packet for as long as makes one
/// idle, the timeout can as well be a shorter one: of none it is known.
pub fn add_up(
    content: Content,
    threads: usize,
    filter: &Filter,
    circumstances: Circumstances,
    assumed: bool,
    progress: &mut dyn Progress,
) -> (Aggregate, Reading) {
    let owners = Owners::default();
    let established = circumstances.timeouts.established().established;
    let idle_after = circumstances.idle_after;
    let mut sums = Aggregate::new(circumstances);
    let mut visit = |entry: &Entry| sums.add(entry, &owners);
    let reading = read(content, threads, filter, &mut visit, progress);
    let recent = reading.longest_left.saturating_add(idle_after);
    let fits = established.is_some_and(|timeout| recent >= timeout);
    if assumed && !fits {
        sums.doubt_idle();
    }
    (sums, reading)
}
