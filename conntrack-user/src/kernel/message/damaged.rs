//! Messages that are not whole: what a crash, a full disk or a careless copy has left
//! of them.

use crate::kernel::message::{Message, number, prefix};

/// How the message of a full table goes on after the name of the module.
const FULL: &[u8] = b"table full, dropping packet";

/// The same where the kernel says the limit.
const LIMIT: &[u8] = b"maximum limit of ";

impl Message {
    /// Whether a line, which [`Message::parse`] does not know, is what is left
    /// of a message about a full table.
    pub fn is_cut(line: &[u8]) -> bool {
        let Some((_, rest)) = prefix(line) else {
            return false;
        };
        let rest = prefix(rest).map_or(rest, |(_, rest)| rest);
        rest.starts_with(b"table full")
            || rest.starts_with(LIMIT)
            || (!rest.is_empty() && (FULL.starts_with(rest) || LIMIT.starts_with(rest)))
    }

    /// Whether a line, which [`Message::parse`] does not know, is what is left of a
    /// report of suppressed network messages: how many it says, or 0 where that is
    /// lost. The number may have lost digits.
    pub fn damaged_report(line: &[u8]) -> Option<u64> {
        let line = line.trim_ascii_end();
        let whole_head = REPORTS.iter().find_map(|report| {
            let rest = line.strip_prefix(report.head.trim_ascii_end())?;
            Some(report.without_end(rest.trim_ascii_start()))
        });
        whole_head.unwrap_or_else(|| REPORTS.iter().find_map(|report| report.without_head(line)))
    }
}

/// A report of suppressed messages: what is before and after the number.
struct Report {
    head: &'static [u8],
    tail: &'static [u8],
    /// Whether other messages begin like this, too.
    shared: bool,
}

const REPORTS: [Report; 4] = [
    Report {
        head: b"net_ratelimit: ",
        tail: b" callbacks suppressed",
        shared: false,
    },
    Report {
        head: b"__ratelimit: ",
        tail: b" callbacks suppressed",
        shared: false,
    },
    Report {
        head: b"printk: ",
        tail: b" messages suppressed.",
        shared: true,
    },
    Report {
        head: b"NET: ",
        tail: b" messages suppressed.",
        shared: true,
    },
];

/// Bytes of the head that may have been changed.
const CHANGED: usize = 2;

impl Report {
    /// The number of a report whose head is whole, from what follows it; 0 if it is lost.
    fn without_end(&self, rest: &[u8]) -> Option<u64> {
        let (messages, end) = number(rest).unwrap_or((0, rest));
        let is_cut = rest.first().is_some_and(u8::is_ascii_digit) && self.tail.starts_with(end);
        let tail = self.tail.strip_suffix(b".").unwrap_or(self.tail);
        let is_changed = memchr::memmem::find(rest, tail).is_some();
        (is_cut || is_changed || !self.shared).then_some(messages)
    }

    /// The same of a report whose head is not whole.
    fn without_head(&self, line: &[u8]) -> Option<u64> {
        let (head, messages) = self.before_end(line)?;
        let is_left = self.head.ends_with(head) || self.is_changed(head);
        is_left.then_some(messages)
    }

    /// What is before the number of a line that ends like a report, and the number.
    fn before_end<'a>(&self, line: &'a [u8]) -> Option<(&'a [u8], u64)> {
        let before = line.strip_suffix(self.tail)?;
        let digits = before
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (head, digits) = before.split_at(before.len() - digits);
        Some((head, number(digits).map_or(0, |(messages, _)| messages)))
    }

    /// Whether a head is this one with some bytes changed, or none that a kernel
    /// writes: what has a limit of its own is a function.
    fn is_changed(&self, head: &[u8]) -> bool {
        let changed = head.iter().zip(self.head).filter(|(a, b)| a != b).count();
        let name = head.strip_suffix(b": ").unwrap_or(head);
        let is_function = name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte));
        (head.len() == self.head.len() && changed <= CHANGED)
            || (head.len() <= self.head.len() + CHANGED && !is_function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_report_is_told_from_other_lines() {
        for (line, messages) in [
            ("__ratelimit: 83 callbacks suppres", 83),
            ("__ratelimit: 83", 83),
            ("__ratelimit: 8\u{fffd}3 callbacks suppressed", 8),
            ("__ratelimit:", 0),
            ("__ratelimit: N callbacks suppressed", 0),
            ("_ratelimit: 83 callbacks suppressed", 83),
            ("ratelimit: 83 callbacks suppressed", 83),
            ("__ratelXmit: 83 callbacks suppressed", 83),
            ("__rate\u{fffd}\u{fffd}it: 83 callbacks suppressed", 83),
            ("83 callbacks suppressed", 83),
            (
                "net_ratelimit: 99999999999999999999 callbacks suppressed",
                0,
            ),
            ("net_ratelimit:  callbacks suppressed", 0),
            ("printk: 5990 messages suppressed", 5990),
            ("printk: 5990 messa", 5990),
            ("printk: 59\u{fffd}0 messages suppressed.", 59),
            ("NET: 37 messages supp", 37),
            ("ET: 37 messages suppressed.", 37),
        ] {
            assert_eq!(Message::parse(line.as_bytes()), None, "{line}");
            assert_eq!(
                Message::damaged_report(line.as_bytes()),
                Some(messages),
                "{line}"
            );
        }
        for line in [
            "",
            "NET:",
            "NET: Registered protocol family 17",
            "printk: console [tty0] enabled",
            "printk:",
            "audit_printk_skb: 5 callbacks suppressed",
            "show_signal_msg: 5 callbacks suppressed",
            "nf_conntrack: table full, drop",
            "callbacks suppressed",
            "(XEN) printk: 5 messages suppressed.",
        ] {
            assert_eq!(Message::damaged_report(line.as_bytes()), None, "{line}");
        }
    }
}
