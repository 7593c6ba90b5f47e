//! Searches a log, block by block.

use std::io::{self, Read};

use crate::{
    input::blocks,
    logs::search::scanner::{Found, Scanner},
};

/// Searches a log that is in memory: as [`blocks::scan_all`].
pub fn scan_all(data: &[u8], threads: usize, scanner: &Scanner, take: impl FnMut(Found, usize)) {
    blocks::scan_all(data, threads, |lines, at| scanner.scan(lines, at), take);
}

/// Searches a log that is read from somewhere: as [`blocks::scan_stream`].
pub fn scan_stream(
    source: impl Read,
    scanner: &Scanner,
    take: impl FnMut(Found, usize),
) -> io::Result<()> {
    blocks::scan_stream(source, |lines, at| scanner.scan(lines, at), take)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        input::blocks::BLOCK,
        logs::format::event::{Event, What},
    };

    fn events(data: &[u8], threads: usize) -> Vec<Event> {
        let mut events = Vec::new();
        scan_all(data, threads, &Scanner::default(), |found, _| {
            events.extend(found.events);
        });
        events
    }

    /// Those of the lines that are searched for.
    fn messages(data: &[u8], threads: usize) -> Vec<Event> {
        let mut events = events(data, threads);
        events.retain(|event| !matches!(event.what, What::Other { .. }));
        events
    }

    const LINE: &str = "Mar 12 13:40:34 gate kernel: nf_conntrack: table full, dropping packet\n";

    /// Blocks with a line across each edge, at every place of it.
    #[test]
    fn a_line_across_the_edge_of_blocks_is_found_once() {
        for shift in 0..=LINE.len() {
            let mut data = vec![b'x'; BLOCK - shift - 1];
            data.push(b'\n');
            data.extend(LINE.as_bytes());
            data.extend([b'y'; 100]);
            for threads in [1, 3] {
                let found = messages(&data, threads);
                assert_eq!(found.len(), 1, "{shift}");
                assert_eq!(found[0].at.0, (BLOCK - shift) as u64);
            }
        }
    }

    #[test]
    fn a_line_without_end_is_counted_and_does_not_hide_the_next() {
        let mut data = b"Mar 12 13:40:34 gate kernel: nf_conntrack: table full".to_vec();
        data.extend(vec![b'x'; 3 * BLOCK]);
        data.push(b'\n');
        data.extend(LINE.as_bytes());
        let mut long = 0;
        let mut found = 0;
        scan_all(&data, 2, &Scanner::default(), |block, _| {
            long += block.skipped.long;
            let other = |event: &&Event| !matches!(event.what, What::Other { .. });
            found += block.events.iter().filter(other).count();
        });
        assert_eq!((long, found), (1, 1));
        let (mut long, mut found) = (0, 0);
        scan_stream(data.as_slice(), &Scanner::default(), |block, _| {
            long += block.skipped.long;
            let other = |event: &&Event| !matches!(event.what, What::Other { .. });
            found += block.events.iter().filter(other).count();
        })
        .unwrap();
        assert_eq!((long, found), (1, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Any mixture of lines: memory with one thread or several, and a
        /// stream that comes in small pieces, find the same.
        #[test]
        fn however_it_is_read_the_same_is_found(
            lines in proptest::collection::vec((0..5_usize, 0..60_usize), 0..200),
            piece in 1..5000_usize,
        ) {
            let kinds = [LINE, "\n", "Mar 12 13:40:34 gate kernel: net_ratelimit: 7 callbacks suppressed\n",
                "Mar 12 13:40:34 gate last message repeated 3 times\n", "_conntrack s suppressed\n"];
            let mut data = Vec::new();
            for (kind, filler) in lines {
                data.extend(std::iter::repeat_n(b'z', filler * 499));
                data.push(b'\n');
                data.extend(kinds[kind].as_bytes());
            }
            let expected = events(&data, 1);
            prop_assert_eq!(&events(&data, 3), &expected);
            let mut streamed = Vec::new();
            let source = Pieces { data: &data, piece };
            scan_stream(source, &Scanner::default(), |found, _| streamed.extend(found.events)).unwrap();
            prop_assert_eq!(counted(streamed), counted(expected));
        }
    }

    /// A block's first line is looked at closer than others: without what says
    /// nothing there.
    fn counted(events: Vec<Event>) -> Vec<Event> {
        let mut counted: Vec<Event> = Vec::new();
        for event in events {
            let follows = counted.last().is_some_and(|last| {
                last.at.1 == event.at.0 && !matches!(last.what, What::Other { .. })
            });
            if follows || !matches!(event.what, What::Repeated(_) | What::Other { .. }) {
                counted.push(event);
            }
        }
        counted
    }

    struct Pieces<'a> {
        data: &'a [u8],
        piece: usize,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.piece.min(buffer.len()).min(self.data.len());
            buffer[..length].copy_from_slice(&self.data[..length]);
            self.data = &self.data[length..];
            Ok(length)
        }
    }
}
