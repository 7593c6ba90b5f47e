//! Lines of the kernel log about conntrack.

use std::fs::File;

use memchr::memmem;

use crate::{
    kernel::{
        kmsg::KernelLog,
        message::{CONNTRACK, Message},
    },
    store::{moment::Moment, record::LogLine},
};

/// Lines that are kept of one reading, at most. The kernel itself writes 10 in 5 s of
/// those about full tables.
const AT_ONCE: usize = 1000;

/// Lines of the kernel log about conntrack.
pub(super) struct ConntrackLines {
    log: KernelLog<File>,
    /// Those until then are known already, in milliseconds by the clock of the log.
    known: i64,
}

impl ConntrackLines {
    /// Those that were written after a moment of this boot, or all.
    pub(super) fn of(log: KernelLog<File>, after: Option<Moment>) -> Self {
        Self {
            log,
            known: after.map_or(-1, |after| after.mono),
        }
    }

    /// Those since the last time.
    pub(super) fn read(&mut self, now: Moment) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let known = self.known;
        // An error: there is nothing to be had for now.
        let _ = self.log.read(|record| {
            let mono = i64::try_from(record.uptime / 1000).unwrap_or(i64::MAX);
            if mono > known && is_about_conntrack(record.text) && lines.len() < AT_ONCE {
                let at = Moment {
                    wall: now.wall - now.mono.saturating_sub(mono),
                    mono,
                    ..now
                };
                let text = String::from_utf8_lossy(record.text).into_owned();
                lines.push(LogLine { at, text });
            }
        });
        lines
    }
}

/// Whether a line is about conntrack, or reports messages that may have been.
fn is_about_conntrack(line: &[u8]) -> bool {
    memmem::find(line, CONNTRACK).is_some()
        || matches!(Message::parse(line), Some(Message::Suppressed { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_conntrack_are_told_from_others() {
        assert!(is_about_conntrack(
            b"nf_conntrack: nf_conntrack: table full, dropping packet"
        ));
        assert!(is_about_conntrack(
            b"net_ratelimit: 2590 callbacks suppressed"
        ));
        assert!(!is_about_conntrack(b"eth0: link up"));
    }
}
