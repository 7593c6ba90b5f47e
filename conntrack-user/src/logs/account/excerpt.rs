//! Whether a log has nothing but lines about a full table, as `grep 'table full'` leaves it:
//! then the reports of suppressed messages are missing.

/// Bursts as large as the kernel's limit, after which nothing was reported, that do not
/// come by chance.
const SILENT: u64 = 2;

/// What was seen of a log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Excerpt {
    /// Anything that such a `grep` would not have found.
    others: bool,
    /// Bursts as large as the kernel's limit, which were followed by a line about a full
    /// table and no report.
    silent: u64,
}

impl Excerpt {
    /// There was another line, or there may have been.
    pub(super) const fn has_others(&mut self) {
        self.others = true;
    }

    /// There was a burst after which nothing was reported.
    pub(super) const fn silent(&mut self) {
        self.silent += 1;
    }

    /// Whether the reports are missing: exactly as many packets as the kernel writes lines
    /// for were refused, several times, or the log is an excerpt.
    pub(super) const fn lacks_reports(self) -> bool {
        !self.others && self.silent >= SILENT
    }
}
