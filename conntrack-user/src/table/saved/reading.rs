//! How a saved table was read, besides its entries.

use serde::Serialize;

use crate::table::filter::Criterion;

/// What a saved table looks like, for whoever has given something else.
pub const FORMS: &str = "the output of conntrack -L (plain, -o extended or -o xml), or a copy of \
                         /proc/net/nf_conntrack or /proc/net/ip_conntrack";

/// How a saved table was read, besides its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Bytes of text.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// Entries, also of others than asked for.
    pub entries: u64,
    /// Of these, how many were not asked for, by the criterion they fail, in the
    /// order of [`Criterion::ALL`].
    pub discarded: [u64; Criterion::ALL.len()],
    /// Lines that are no entry, though they should be.
    pub malformed: u64,
    /// The first of these.
    pub first_malformed: Option<Malformed>,
    /// Entries that conntrack says it has shown, if it says so.
    pub shown: Option<u64>,
    /// Whether the last line is not whole, or the end of the XML is missing.
    pub cut: bool,
    /// Entries of ICMP in XML, which leaves out type, code and id.
    pub icmp_in_xml: u64,
    /// Why it could not be read to its end.
    pub not_read: Option<String>,
    /// The most seconds that an established connection has left, also of those that were
    /// not asked for; 0 without one.
    pub(super) longest_left: u32,
    /// Elements `conntrack` of XML that have begun, less those that have ended.
    pub(super) open: i64,
}

/// A line that is no entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Malformed {
    /// Its number, from 1 on.
    pub line: u64,
    /// How it begins.
    pub text: String,
}

impl Reading {
    /// Whether it is no saved table: there is text, but no entry, and conntrack does
    /// not say that there was none.
    pub const fn is_no_table(&self) -> bool {
        self.entries == 0 && (self.malformed > 0 || self.cut) && self.shown.is_none()
    }

    /// Whether there is nothing at all.
    pub const fn is_empty(&self) -> bool {
        self.lines == 0 && self.not_read.is_none()
    }

    /// Takes in what was found in the next block.
    pub(super) fn add(&mut self, block: Self) {
        if self.first_malformed.is_none() {
            self.first_malformed = block.first_malformed.map(|first| Malformed {
                line: first.line + self.lines,
                ..first
            });
        }
        self.lines += block.lines;
        self.entries += block.entries;
        for (sum, more) in self.discarded.iter_mut().zip(block.discarded) {
            *sum += more;
        }
        self.malformed += block.malformed;
        if let Some(shown) = block.shown {
            self.show(shown);
        }
        self.cut |= block.cut;
        self.icmp_in_xml += block.icmp_in_xml;
        self.longest_left = self.longest_left.max(block.longest_left);
        self.open += block.open;
    }

    /// Takes in what conntrack says that it has shown.
    pub(super) fn show(&mut self, entries: u64) {
        self.shown = Some(self.shown.unwrap_or(0).saturating_add(entries));
    }
}
