//! What `conntrack` says when it is done: `conntrack v1.4.7 (conntrack-tools): 7 flow
//! entries have been shown.`

use crate::table::saved::cursor::Cursor;

/// A line with that notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notice<'a> {
    /// What is before it on the line. It goes to standard error, and so comes in the
    /// middle of an entry where both are sent to one file.
    pub(super) before: &'a [u8],
    /// Entries shown.
    pub(super) shown: u64,
}

/// The notice in a line.
pub(super) fn find(line: &[u8]) -> Option<Notice<'_>> {
    let rest = line.strip_suffix(b" been shown.")?;
    let at = memchr::memmem::rfind(rest, b"conntrack v")?;
    let counted = memchr::memmem::rfind(&rest[at..], b"): ")? + at + 3;
    let mut cursor = Cursor(&rest[counted..]);
    let shown = cursor.number()?;
    cursor.past(b" flow entries ha").then_some(Notice {
        before: &line[..at],
        shown,
    })
}
