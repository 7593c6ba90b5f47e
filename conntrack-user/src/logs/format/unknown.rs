//! Forms of a log that are not known here: what they are, and what makes a log of them.

use memchr::memmem;

use crate::{
    kernel::message::{CONNTRACK, Message},
    logs::format::{
        carrier,
        line::{Line, Writer},
        stamp::Cursor,
    },
};

/// A form in which a message of the kernel is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `journalctl -o verbose`, or another list of fields.
    Fields,
    /// JSON of another program than `journalctl`.
    Json {
        /// The key of the string that has the message, if it is known.
        key: Option<Box<str>>,
        /// Whether something is before the JSON in each line, as fluentd has it.
        after_head: bool,
    },
    /// Pairs such as `msg="…"`, one after the other (logfmt).
    Pairs {
        /// The name of the pair that has the message.
        key: Box<str>,
    },
    /// Columns, as CSV and TSV have them.
    Columns,
    /// Labels between the time and the line, as Loki's logcli prints them.
    Labels,
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
        let is_member = bytes.starts_with(b"\"") && memmem::find(bytes, b"\":").is_some();
        if bytes.starts_with(b"{") || bytes.starts_with(b"[{") || is_member {
            return Some(Self::json(bytes));
        }
        if has_json(line) {
            return Some(Self::Json {
                key: key_of_message(bytes),
                after_head: true,
            });
        }
        if has_columns(bytes) {
            return Some(Self::Columns);
        }
        if let Some(key) = pair_with_message(bytes) {
            return Some(Self::Pairs { key });
        }
        if line.host.is_some_and(|host| host.starts_with(b"{")) {
            return Some(Self::Labels);
        }
        let is_known = line.has_header && (line.writer == Writer::Kernel || is_tagged(line.text));
        (!is_known && line.writer != Writer::Syslogd).then_some(Self::Other)
    }

    /// JSON of another program than `journalctl`.
    pub fn json(bytes: &[u8]) -> Self {
        Self::Json {
            key: key_of_message(bytes),
            after_head: false,
        }
    }

    /// What is wrong with the log of that name in this form, and what makes one that is read
    /// of its file.
    pub fn remedy(&self, name: &str, file: &str) -> String {
        match self {
            Self::Fields => {
                "its messages of the kernel are fields, as journalctl -o verbose prints them, which \
                 ctdrop does not read; use: journalctl -o export _TRANSPORT=kernel | ctdrop logs -"
                    .to_owned()
            }
            Self::Json { key, after_head } => {
                let strings = match key {
                    Some(key) => format!(".. | .\"{key}\"? // empty"),
                    None => ".. | strings".to_owned(),
                };
                let take = if *after_head {
                    format!("sed 's/^[^{{]*//' {file} | jq -r '{strings}'")
                } else {
                    format!("jq -r '{strings}' {file}")
                };
                format!(
                    "{name} has the messages of the kernel in JSON of another program than \
                     journalctl, which ctdrop does not read; take the messages out, for example: \
                     {take} | ctdrop logs -"
                )
            }
            Self::Pairs { key } => format!(
                "the lines of {name} are pairs of names and values (logfmt), which ctdrop does not \
                 read; take the messages out, without their times: sed -n \
                 's/.*\\(^\\|[[:space:]]\\){key}=\"\\([^\"]*\\)\".*/\\2/p' {file} | ctdrop logs -"
            ),
            Self::Columns => format!(
                "the lines of {name} are columns (CSV or TSV), which ctdrop does not read; take the messages \
                 out, without their times: grep -oE \
                 '((nf|ip)_conntrack|(net|_)_ratelimit|printk|NET): .*' {file} | tr -d '\"' | ctdrop \
                 logs -"
            ),
            Self::Labels => {
                "its lines have labels before the message, as Loki's logcli prints them, which \
                 ctdrop does not read; print the lines alone: logcli query -o raw QUERY | ctdrop \
                 logs -"
                    .to_owned()
            }
            Self::Other => {
                "ctdrop does not know the form of its lines about a full table, so it cannot tell \
                 whether the kernel wrote them; give it what syslog, dmesg or journalctl -o export \
                 write, with nothing else before the time of each line"
                    .to_owned()
            }
        }
    }
}

/// Whether JSON follows the time and a tag, as fluentd writes it: `2026-03-12 13:40:34 +0000
/// kernel: {…}`, where the offset from UTC stands at the place of a host.
fn has_json(line: &Line<'_>) -> bool {
    let has_offset = line.host.is_some_and(|host| {
        let digits = host.strip_prefix(b"+").or_else(|| host.strip_prefix(b"-"));
        digits.is_some_and(|digits| digits.len() == 4 && digits.iter().all(u8::is_ascii_digit))
    });
    let is_kernel = line.has_header && line.writer == Writer::Kernel;
    (is_kernel && line.text.starts_with(b"{"))
        || (has_offset && memmem::find(line.text, b": {").is_some())
}

/// Whether a time ends with the mark of a column, instead of with a blank.
fn has_columns(bytes: &[u8]) -> bool {
    let mut rest = Cursor(carrier::unquoted(bytes));
    let stamp = rest
        .iso()
        .or_else(|| rest.syslog())
        .or_else(|| rest.ctime());
    let after = rest.0.strip_prefix(b"\"").unwrap_or(rest.0);
    stamp.is_some() && after.first().is_some_and(|mark| b",;|\t".contains(mark))
}

/// The name before the value in quotes that has the message, in a line that begins with
/// such a pair.
fn pair_with_message(bytes: &[u8]) -> Option<Box<str>> {
    let is_name = |name: &[u8]| {
        let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        !name.is_empty() && name.iter().all(of_name)
    };
    if !is_name(&bytes[..memchr::memchr(b'=', bytes)?]) {
        return None;
    }
    memmem::find_iter(bytes, CONNTRACK).find_map(|hit| {
        let quote = memchr::memrchr(b'"', &bytes[..hit])?;
        let before = bytes[..quote].strip_suffix(b"=")?;
        let start = memchr::memrchr(b' ', before).map_or(0, |blank| blank + 1);
        is_name(&before[start..]).then(|| String::from_utf8_lossy(&before[start..]).into())
    })
}

/// The key of the string in JSON that has the message; none in a list of strings, or if no
/// string has it.
fn key_of_message(json: &[u8]) -> Option<Box<str>> {
    memmem::find_iter(json, CONNTRACK).find_map(|hit| {
        let start = memchr::memrchr(b'"', &json[..hit])?;
        let length = memchr::memchr(b'"', &json[hit..])?;
        if !Message::is_quoted_in(&json[start..hit + length]) {
            return None;
        }
        let before = json[..start].trim_ascii_end().strip_suffix(b":")?;
        let before = before.trim_ascii_end().strip_suffix(b"\"")?;
        let key = &before[memchr::memrchr(b'"', before)? + 1..];
        let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-@".contains(byte);
        key.iter()
            .all(of_name)
            .then(|| String::from_utf8_lossy(key).into())
    })
}

/// Whether a program names itself before its text, as `sshd[7]: `.
fn is_tagged(text: &[u8]) -> bool {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    text[..end].ends_with(b":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_does_not_read_standard_input_as_a_file() {
        let json = br#"{"tag":"my_conntrack","msg":"nf_conntrack: table full, dropping packet"}"#;
        let remedy = Form::json(json).remedy("stdin", "FILE");
        assert!(remedy.starts_with("stdin has"), "{remedy}");
        let command = "jq -r '.. | .\"msg\"? // empty' FILE | ctdrop logs -";
        assert!(remedy.ends_with(command), "{remedy}");
    }

    #[test]
    fn pairs_have_a_command_that_takes_the_message_out() {
        let line = "time=2026-03-12T13:40:34Z level=warn msg=\"nf_conntrack: table full, dropping \
                    packet\" host=gate";
        let form = Form::of(line.as_bytes(), &Line::parse(line.as_bytes())).unwrap();
        assert_eq!(form, Form::Pairs { key: "msg".into() });
        let remedy = form.remedy("x.log", "x.log");
        let command = remedy.split_once("sed").unwrap().1;
        assert_eq!(
            command,
            " -n 's/.*\\(^\\|[[:space:]]\\)msg=\"\\([^\"]*\\)\".*/\\2/p' x.log | ctdrop logs -"
        );
    }

    #[test]
    fn a_program_that_logs_json_is_known_by_its_name() {
        let form = |line: &str| Form::of(line.as_bytes(), &Line::parse(line.as_bytes()));
        let message = "nf_conntrack: table full, dropping packet";
        let of_app = format!("Mar 12 13:40:34 gate app[7]: {{\"msg\":\"{message}\"}}");
        assert_eq!(form(&of_app), None);
        let with_comma = format!("2012-03-12 13:40:34,123 gate app[7]: {message}");
        assert_eq!(form(&with_comma), None);
    }
}
