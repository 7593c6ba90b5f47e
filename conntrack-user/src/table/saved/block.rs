//! The entries of a block of whole lines.

use crate::{
    say::{protocol::is_icmp, text::plain},
    table::{
        entry::Entry,
        filter::Filter,
        saved::{
            line,
            notice::{self, Notice},
            reading::{Malformed, Reading},
            xml::{self, Frame},
        },
    },
};

/// How much of a line that is no entry is shown.
const SHOWN: usize = 120;

/// Bytes of a line, about: room is made for so many entries at once.
const LINE: usize = 96;

/// What is in a block.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// The entries that are asked for.
    pub(super) entries: Vec<Entry>,
    /// All that is known of its lines; they are numbered as in the block.
    pub(super) reading: Reading,
}

impl Block {
    /// Reads whole lines; only the last of a file may lack its end.
    pub(super) fn read(lines: &[u8], filter: &Filter) -> Self {
        let mut block = Self {
            entries: Vec::with_capacity(lines.len() / LINE + 1),
            ..Self::default()
        };
        let mut rest = lines;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let (line, after) = match end {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            block.reading.lines += 1;
            rest = after;
            if let Some(notice) = notice::find(line) {
                block.reading.show(notice.shown);
                rest = block.around(&notice, rest, filter);
            } else if let Some(entry) = line::parse(line) {
                block.add(&entry, filter);
                block.reading.cut |= end.is_none() && !ends_well(line);
            } else {
                block.other(line, end.is_none(), filter);
            }
        }
        block
    }

    /// A line that is no entry as text.
    fn other(&mut self, line: &[u8], is_open: bool, filter: &Filter) {
        let line = line.trim_ascii();
        if let Some(entry) = xml::parse(line) {
            self.reading.icmp_in_xml += u64::from(is_icmp(entry.protocol));
            self.add(&entry, filter);
        } else if let Some(frame) = xml::frame(line) {
            self.reading.open += match frame {
                Frame::Open => i64::from(line == b"<conntrack>"),
                Frame::Close => -1,
            };
        } else if is_open {
            self.reading.cut = true;
        } else if !line.is_empty() {
            self.malformed(line);
        }
    }

    /// The entry that a notice is in the middle of; gives what is left of the block.
    fn around<'a>(&mut self, notice: &Notice<'_>, rest: &'a [u8], filter: &Filter) -> &'a [u8] {
        if notice.before.is_empty() {
            return rest;
        }
        let end = memchr::memchr(b'\n', rest);
        let whole = [notice.before, &rest[..end.unwrap_or(rest.len())]].concat();
        self.reading.lines += u64::from(!rest.is_empty());
        match line::parse(&whole) {
            Some(entry) => self.add(&entry, filter),
            None => self.other(&whole, end.is_none(), filter),
        }
        end.map_or(&[], |end| &rest[end + 1..])
    }

    fn add(&mut self, entry: &Entry, filter: &Filter) {
        self.reading.entries += 1;
        if entry.is_established() {
            let left = entry.timeout.unwrap_or(u32::MAX);
            self.reading.longest_left = self.reading.longest_left.max(left);
        }
        match filter.fails(entry) {
            None => self.entries.push(*entry),
            Some(criterion) => self.reading.discarded[criterion as usize] += 1,
        }
    }

    fn malformed(&mut self, line: &[u8]) {
        self.reading.malformed += 1;
        self.reading.first_malformed.get_or_insert_with(|| {
            let begin = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
            Malformed {
                line: self.reading.lines,
                text: plain(&begin),
            }
        });
    }
}

/// Whether a line without an end has all of its entry: `use=` comes last, but for
/// what is asked for by `-o`.
fn ends_well(line: &[u8]) -> bool {
    memchr::memmem::find(line, b" use=").is_some()
}
