//! Finds, in a block of whole lines, the ones that matter.

use memchr::memmem::Finder;

use crate::{
    kernel::message::{BOOTED, CONNTRACK, Message, SUPPRESSED},
    logs::{
        format::{
            event::{Event, What},
            line::Line,
            stamp::Stamp,
            unknown::Form,
        },
        search::{
            candidate::{Kind, event, joined, kind_of, other},
            prefilter::Prefilter,
            text_share::TextShare,
        },
    },
};

/// What is in a block.
#[derive(Debug, Default)]
pub struct Found {
    /// The stamp of the first line: it keeps track of the years.
    pub first: Option<Stamp>,
    /// In the order of the log.
    pub events: Vec<Event>,
    /// What was not counted.
    pub skipped: Skipped,
    /// Lines among these in a form that is not known, and the form of the first.
    pub unknown: Option<(u64, Form)>,
    /// How much of it is text.
    pub text_share: TextShare,
}

/// Lines about a full table that were not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// Cut off in the message.
    pub cut: u64,
    /// Written by other programs, which may quote the kernel.
    pub not_kernel: u64,
    /// With control bytes in them.
    pub binary: u64,
    /// Longer than any line of a log: 64 KiB.
    pub long: u64,
}

impl Skipped {
    /// Adds those of another block.
    pub fn add(&mut self, other: Self) {
        self.cut += other.cut;
        self.not_kernel += other.not_kernel;
        self.binary += other.binary;
        self.long += other.long;
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.cut + self.not_kernel + self.binary + self.long
    }
}

/// The longest line that is looked at. The kernel's own end at 1 KiB.
pub use crate::input::blocks::LONGEST;

/// The searchers.
#[derive(Debug)]
pub struct Scanner {
    conntrack: Finder<'static>,
    suppressed: Finder<'static>,
    booted: Finder<'static>,
    prefilter: Prefilter,
    /// Whether starts of the kernel are to be found, too.
    boots: bool,
}

impl Default for Scanner {
    /// One for a log that can be looked at again: where the kernel started is
    /// looked up when it matters, which is rare.
    fn default() -> Self {
        Self {
            boots: false,
            prefilter: Prefilter::default(),
            conntrack: Finder::new(CONNTRACK),
            suppressed: Finder::new(SUPPRESSED),
            booted: Finder::new(BOOTED),
        }
    }
}

impl Scanner {
    /// One for a log that is read once.
    pub fn for_streams() -> Self {
        Self {
            boots: true,
            ..Self::default()
        }
    }

    /// Looks through whole lines, which begin at `offset` of the log.
    pub fn scan(&self, lines: &[u8], offset: u64) -> Found {
        let mut found = Found {
            text_share: TextShare::sample(lines),
            ..Found::default()
        };
        let end = memchr::memchr(b'\n', lines).unwrap_or(lines.len());
        if end <= LONGEST {
            let first = Line::parse(&lines[..end]);
            found.first = Some(first.stamp);
            self.following(lines, offset, &mut found.events);
        }
        self.each_candidate(lines, |start, end| {
            let line = &lines[start..end];
            if line.len() > LONGEST {
                found.skipped.long += 1;
                return;
            }
            let at = (offset + start as u64, offset + end as u64 + 1);
            let next = lines.get(end + 1..).unwrap_or_default();
            let kind = match kind_of(line, at) {
                Kind::Cut => {
                    joined(line, self.rest_of_line(next), at).map_or(Kind::Cut, Kind::Counted)
                }
                kind => kind,
            };
            let follows = found.events.last().is_some_and(|last| last.at.1 == at.0);
            if !matches!(kind, Kind::Counted(_)) && (follows || start == 0) {
                found.events.push(other(line, at));
            }
            match kind {
                Kind::Counted(event) => {
                    let next = lines.get(event_end(&event, offset)..).unwrap_or_default();
                    let end = event.at.1;
                    found.events.push(event);
                    self.following(next, end, &mut found.events);
                }
                Kind::Cut => found.skipped.cut += 1,
                Kind::NotKernel(form) => {
                    found.skipped.not_kernel += 1;
                    if let Some(form) = form {
                        let unknown = found.unknown.get_or_insert((0, form));
                        unknown.0 += 1;
                    }
                }
                Kind::Binary => found.skipped.binary += 1,
                Kind::Nothing => {}
            }
        });
        let matters = |event: &Event| !matches!(event.what, What::Other { .. });
        found.text_share.found = found.events.iter().any(matters) || found.skipped.total() > 0;
        found
    }

    /// Calls `each` with the bounds of every line that may matter, in order.
    fn each_candidate(&self, lines: &[u8], mut each: impl FnMut(usize, usize)) {
        let mut hits: Vec<usize> = Vec::new();
        self.prefilter.each(lines, |from, to| {
            let mut search = |finder: &Finder<'_>| {
                // What reaches over the edge of a group is found with this one.
                let begin = from.saturating_sub(finder.needle().len() - 1);
                hits.extend(finder.find_iter(&lines[begin..to]).map(|at| begin + at));
            };
            search(&self.conntrack);
            search(&self.suppressed);
        });
        if self.boots {
            hits.extend(self.booted.find_iter(lines));
        }
        hits.sort_unstable();
        let mut done = 0;
        for hit in hits {
            if hit < done {
                continue;
            }
            let start = memchr::memrchr(b'\n', &lines[done..hit])
                .map_or(done, |newline| done + newline + 1);
            let end =
                memchr::memchr(b'\n', &lines[hit..]).map_or(lines.len(), |newline| hit + newline);
            done = end + 1;
            each(start, end);
        }
    }

    /// What comes right after a line that matters: what the syslog daemon says about
    /// that line, as often as it does, and then one other line.
    fn following(&self, mut lines: &[u8], mut offset: u64, events: &mut Vec<Event>) {
        while !lines.is_empty() {
            let end = memchr::memchr(b'\n', lines).unwrap_or(lines.len());
            let bytes = &lines[..end];
            if end > LONGEST || bytes.trim_ascii().is_empty() || self.is_candidate(bytes) {
                return;
            }
            let line = Line::parse(bytes);
            let next = offset + end as u64 + 1;
            let Some(times) = line.repeats() else {
                return events.push(other(bytes, (offset, next)));
            };
            events.push(event((offset, next), &line, What::Repeated(times)));
            offset = next;
            lines = lines.get(end + 1..).unwrap_or_default();
        }
    }

    /// The line that lines begin with, if it may be the rest of the one before.
    fn rest_of_line<'a>(&self, lines: &'a [u8]) -> Option<&'a [u8]> {
        const LONGEST_REST: usize = 256;
        let end = memchr::memchr(b'\n', lines).unwrap_or(lines.len());
        let line = &lines[..end];
        (end <= LONGEST_REST && !self.is_candidate(line)).then_some(line)
    }

    /// Whether a line may matter by itself.
    fn is_candidate(&self, line: &[u8]) -> bool {
        [&self.conntrack, &self.suppressed]
            .into_iter()
            .any(|finder| finder.find(line).is_some())
            || (self.boots && self.booted.find(line).is_some())
    }

    /// Whether the kernel has started anew somewhere in these lines.
    pub fn has_boot(&self, lines: &[u8]) -> bool {
        self.booted.find_iter(lines).any(|hit| {
            let start = memchr::memrchr(b'\n', &lines[..hit]).map_or(0, |newline| newline + 1);
            let end =
                memchr::memchr(b'\n', &lines[hit..]).map_or(lines.len(), |newline| hit + newline);
            end - start <= LONGEST
                && matches!(
                    kind_of(&lines[start..end], (0, 0)),
                    Kind::Counted(Event {
                        what: What::Message(Message::Booted, _),
                        ..
                    })
                )
        })
    }
}

/// Where, in the lines from `offset` on, an event ends.
fn event_end(event: &Event, offset: u64) -> usize {
    usize::try_from(event.at.1 - offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::message::forms::FORMS;

    /// Lines around, as many as make the search skip groups of bytes.
    const OTHERS: &str = "Mar 12 10:00:00 gate kernel: device eth0 entered promiscuous mode\n";

    #[test]
    fn every_form_of_a_message_is_found_in_a_log() {
        for (form, message) in FORMS {
            let others = OTHERS.repeat(100);
            let log = format!("{others}Mar 12 10:00:01 gate kernel: {form}\n{others}");
            let found = Scanner::for_streams().scan(log.as_bytes(), 0);
            let other = |event: &&Event| !matches!(event.what, What::Other { .. });
            let events: Vec<_> = found.events.iter().filter(other).collect();
            let [event] = events.as_slice() else {
                panic!("{form}: {:?}", found.events);
            };
            assert_eq!(event.what, What::Message(message, 1), "{form}");
        }
    }
}
