//! Forms of a log that are not known here: what they are, and what makes a log of them.

use crate::logs::format::line::{Line, Writer};

/// A form in which a message of the kernel is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `journalctl -o verbose`, or another list of fields.
    Fields,
    /// JSON of another program than `journalctl`.
    Json,
    /// Any other.
    Other,
}

impl Form {
    /// The form of a line with a message of the kernel in it that was not found to be the
    /// kernel's; none if the line is known to be another program's.
    pub fn of(bytes: &[u8], line: &Line<'_>) -> Option<Self> {
        let bytes = bytes.trim_ascii_start();
        if bytes.starts_with(b"MESSAGE=") {
            return Some(Self::Fields);
        }
        let is_member = bytes.starts_with(b"\"") && memchr::memmem::find(bytes, b"\":").is_some();
        if bytes.starts_with(b"{") || bytes.starts_with(b"[{") || is_member {
            return Some(Self::Json);
        }
        let is_known = line.has_header && (line.writer == Writer::Kernel || is_tagged(line.text));
        (!is_known && line.writer != Writer::Syslogd).then_some(Self::Other)
    }

    /// What is wrong with a log in this form, and what makes one that is read.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Fields => {
                "its messages of the kernel are fields, as journalctl -o verbose prints them, which \
                 ctdrop does not read; use: journalctl -o export _TRANSPORT=kernel | ctdrop logs -"
            }
            Self::Json => {
                "its messages of the kernel are in JSON of another program than journalctl, which \
                 ctdrop does not read; take the messages out, for example: jq -r .message FILE | \
                 ctdrop logs -"
            }
            Self::Other => {
                "ctdrop does not know the form of its lines about a full table, so it cannot tell \
                 whether the kernel wrote them; give it what syslog, dmesg or journalctl -o export \
                 write, with nothing else before the time of each line"
            }
        }
    }
}

/// Whether a program names itself before its text, as `sshd[7]: `.
fn is_tagged(text: &[u8]) -> bool {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    text[..end].ends_with(b":")
}
