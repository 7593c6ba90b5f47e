//! Takes a text apart into blocks of whole lines, and has them searched.

use std::{
    io::{self, Read},
    sync::mpsc::sync_channel,
    thread,
};

/// Bytes of a block.
pub const BLOCK: usize = 1 << 20;

/// Lines that are longer than this are cut.
pub const LONGEST: usize = 64 << 10;

/// Blocks that a thread may be ahead of what has been taken in.
const AHEAD: usize = 8;

/// The lines that begin in a block: where the first begins and the last ends.
fn lines_of(data: &[u8], block: usize) -> Option<(usize, usize)> {
    let begin = block * BLOCK;
    let limit = (begin + BLOCK).min(data.len());
    let start = if begin == 0 {
        0
    } else {
        begin + memchr::memchr(b'\n', &data[begin - 1..limit - 1])?
    };
    // A line that does not end is cut.
    let longest = (limit + LONGEST + 1).min(data.len());
    let end =
        memchr::memchr(b'\n', &data[limit - 1..longest]).map_or(longest, |newline| limit + newline);
    Some((start, end))
}

/// Searches a text that is in memory, with as many threads as are given, and
/// calls `take` with what `search` has found in each block and how far it reaches,
/// in order. `search` gets the lines of a block, and where they begin.
pub fn scan_all<F: Default + Send>(
    data: &[u8],
    threads: usize,
    search: impl Fn(&[u8], u64) -> F + Sync,
    mut take: impl FnMut(F, usize),
) {
    let blocks = data.len().div_ceil(BLOCK);
    let search = |block| match lines_of(data, block) {
        Some((start, end)) => search(&data[start..end], start as u64),
        None => F::default(),
    };
    let reaches = |block: usize| ((block + 1) * BLOCK).min(data.len());
    let threads = threads.min(blocks);
    if threads <= 1 {
        for block in 0..blocks {
            take(search(block), reaches(block));
        }
        return;
    }
    thread::scope(|scope| {
        let search = &search;
        let channels: Vec<_> = (0..threads)
            .map(|first| {
                let (found, taken) = sync_channel(AHEAD);
                scope.spawn(move || {
                    for block in (first..blocks).step_by(threads) {
                        if found.send(search(block)).is_err() {
                            return;
                        }
                    }
                });
                taken
            })
            .collect();
        for block in 0..blocks {
            // It ends early only if its thread has panicked, which the scope
            // passes on.
            let Ok(found) = channels[block % threads].recv() else {
                return;
            };
            take(found, reaches(block));
        }
    });
}

/// Searches a text that is read from somewhere, as far as that goes, and calls
/// `take` with what `search` has found in each block, and its length.
pub fn scan_stream<F>(
    mut source: impl Read,
    search: impl Fn(&[u8], u64) -> F,
    mut take: impl FnMut(F, usize),
) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK];
    let mut filled = 0;
    let mut offset = 0;
    // Whether the line that goes on here was too long to be kept.
    let mut in_long = false;
    let mut outcome = Ok(());
    loop {
        let read = match source.read(&mut buffer[filled..]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                outcome = Err(error);
                0
            }
        };
        filled += read;
        if read > 0 && filled < buffer.len() {
            continue;
        }
        let last = read == 0;
        let end = if last {
            filled
        } else {
            memchr::memrchr(b'\n', &buffer[..filled]).map_or(filled, |newline| newline + 1)
        };
        let start = if in_long {
            memchr::memchr(b'\n', &buffer[..end]).map_or(end, |newline| newline + 1)
        } else {
            0
        };
        in_long = end > 0 && buffer[end - 1] != b'\n';
        if start < end {
            take(search(&buffer[start..end], offset + start as u64), end);
        }
        if last {
            return outcome;
        }
        offset += end as u64;
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
}
