//! The file of a saved table, and how it was read.

use serde::Serialize;

use crate::{
    say::finding::State,
    table::saved::{
        reading::{Malformed, Reading},
        words,
    },
};

/// How a saved table was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SavedFile {
    /// The file, or `stdin`.
    pub file: String,
    /// Its lines.
    pub lines: u64,
    /// Of these, those that are no whole entry, though they should be.
    pub malformed: u64,
    /// The first of these.
    pub first_malformed: Option<Malformed>,
    /// Entries that conntrack says it has shown, if it says so.
    pub shown: Option<u64>,
    /// Whether it ends in the middle of an entry or of its XML.
    pub cut: bool,
    /// Why it could not be read to its end.
    pub not_read: Option<String>,
    /// Entries of ICMP in XML, which leaves out their type and code.
    pub icmp_in_xml: u64,
    /// What has to be known of it, each as a sentence.
    #[serde(skip)]
    pub caveats: Vec<String>,
}

impl SavedFile {
    /// Of what was read.
    pub fn new(file: &str, reading: Reading) -> Self {
        let mut caveats = words::caveats(&reading, file);
        caveats.push(
            "a saved table does not tell network namespaces apart: if it has the entries of several, \
             these are their sums"
                .to_owned(),
        );
        caveats.push(
            "ctdrop has one reading of this table and assumes the kernel's default timeouts: it \
             computes how long an established connection has been idle from a timeout of 5 days"
                .to_owned(),
        );
        caveats.push(
            "a saved table does not show the kernel's release: ctdrop counts closing connections, \
             which the garbage collector of 4.12 and later may evict, among those that leave only \
             by their timeout"
                .to_owned(),
        );
        Self {
            file: file.to_owned(),
            lines: reading.lines,
            malformed: reading.malformed,
            first_malformed: reading.first_malformed,
            shown: reading.shown,
            cut: reading.cut,
            not_read: reading.not_read,
            icmp_in_xml: reading.icmp_in_xml,
            caveats,
        }
    }

    /// Unknown if it could not be read to its end, or if nothing shows whether it is
    /// empty because the table was.
    pub const fn state(&self) -> State {
        if self.lines > 0 && self.not_read.is_none() {
            State::Ok
        } else {
            State::Unknown
        }
    }
}
