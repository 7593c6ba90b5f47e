//! What a line of a log says of itself: when, on which host, and whether the
//! kernel wrote it.
//!
//! Known are: syslog files in the traditional form, with years, in ISO 8601
//! and in RFC 5424; busybox and OpenWrt; dmesg(1) in all its forms of time;
//! `journalctl -o short…`; records of `/dev/kmsg`; and bare messages. Times may be
//! in any language. Each may be quoted, or have before it what grep, Docker or
//! Kubernetes put there.

use crate::{
    kernel::kmsg::Record,
    logs::format::{
        carrier,
        event::Daemon,
        stamp::{Cursor, Stamp},
    },
};

/// A line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When it was written.
    pub stamp: Stamp,
    /// Microseconds since the kernel had started, if that is said, too.
    pub uptime: Option<u64>,
    /// Where.
    pub host: Option<&'a [u8]>,
    /// By whom.
    pub writer: Writer,
    /// What; without all of the above.
    pub text: &'a [u8],
    /// How often: rsyslog folds messages that follow each other and are equal.
    pub times: u64,
    /// Which kind of daemon wrote it.
    pub daemon: Daemon,
    /// Whether anything says when or by whom it was written.
    pub has_header: bool,
}

/// Who wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The kernel, or nobody says that it was not.
    Kernel,
    /// The syslog daemon itself, about the line before.
    Syslogd,
    /// Some program.
    Other,
}

impl<'a> Line<'a> {
    /// Takes a line apart. Whatever a crash has left before it, as NUL bytes, is
    /// not part of it, nor is what a mail or another program has put around it.
    pub fn parse(line: &'a [u8]) -> Self {
        let line = memchr::memrchr(0, line).map_or(line, |nul| &line[nul + 1..]);
        let line = line.trim_ascii_end();
        let line = carrier::unquoted(line);
        let own = Self::parse_own(line);
        if own.has_header && own.writer == Writer::Kernel {
            return own;
        }
        let (stamp, inside) = carrier::carried(line);
        let carried = Self::parse_own(inside).carried_at(stamp);
        if carried.has_header { carried } else { own }
    }

    /// Has the time of what carries the line, unless it has a time of day itself.
    fn carried_at(mut self, stamp: Option<Stamp>) -> Self {
        if let Some(stamp) = stamp {
            self.has_header = true;
            if matches!(self.stamp, Stamp::Missing | Stamp::Uptime(_)) {
                self.stamp = stamp;
            }
        }
        self
    }

    /// Takes a line apart that is nothing but a line of a log.
    fn parse_own(line: &'a [u8]) -> Self {
        if line.first().is_some_and(u8::is_ascii_digit)
            && let Some(record) = Record::parse(line)
        {
            return Self::of_record(&record);
        }
        let mut rest = Cursor(line);
        let priority = priority(&mut rest);
        let by_kernel = priority.is_none_or(|priority| priority >> 3 == 0);
        let structured = priority.is_some() && rest.eat(b"1 ").is_some();
        decoded(&mut rest);
        if let Some(stamp) = rest.bracket() {
            return Self::of_dmesg(stamp, rest, by_kernel);
        }
        let before = rest.0;
        let stamp = rest
            .syslog()
            .or_else(|| rest.iso())
            .or_else(|| rest.full())
            .or_else(|| rest.ctime())
            .or_else(|| rest.unix())
            .or_else(|| rest.local());
        if stamp.is_some() {
            rest.blanks();
        }
        if before.get(19) == Some(&b',')
            && let Some(stamp @ Stamp::At(_)) = stamp
        {
            // A comma and a zone: `dmesg --time-format iso`.
            rest.caller();
            return Self::of_dmesg(stamp, rest, by_kernel);
        }
        let mut tagged = false;
        let mut daemon = Daemon::Usual;
        let (host, writer) = match stamp {
            _ if structured => structured_header(&mut rest),
            Some(_) => {
                let (host, writer, of_line) = header(&mut rest);
                daemon = match of_line {
                    Daemon::BusyBox { as_user: false }
                        if host == Some(b"OpenWrt") || Cursor(before).ctime().is_some() =>
                    {
                        Daemon::OpenWrt
                    }
                    daemon => daemon,
                };
                (host, writer)
            }
            None => {
                // Without a time there is no host, but maybe a tag.
                tagged = tag(&mut rest).is_some();
                (None, Writer::Kernel)
            }
        };
        let writer = if by_kernel { writer } else { Writer::Other };
        Self {
            stamp: stamp.unwrap_or(Stamp::Missing),
            uptime: None,
            host,
            writer,
            text: rest.0,
            times: 1,
            daemon,
            has_header: stamp.is_some() || priority.is_some() || tagged,
        }
        .unfolded()
    }

    fn of_record(record: &Record<'a>) -> Self {
        Self {
            stamp: Stamp::Uptime(record.uptime),
            uptime: Some(record.uptime),
            host: None,
            writer: if record.by_kernel {
                Writer::Kernel
            } else {
                Writer::Other
            },
            text: record.text,
            times: 1,
            daemon: Daemon::Usual,
            has_header: true,
        }
    }

    /// After a time as dmesg(1) writes it there is the message, or with
    /// `journalctl -o short-monotonic` a host and a tag.
    fn of_dmesg(stamp: Stamp, mut rest: Cursor<'a>, by_kernel: bool) -> Self {
        let mut ahead = rest;
        let host = ahead.word();
        let tagged = tag(&mut ahead).is_some();
        if tagged {
            rest = ahead;
        }
        Self {
            stamp,
            uptime: match stamp {
                Stamp::Uptime(uptime) => Some(uptime),
                _ => None,
            },
            host: tagged.then_some(host),
            writer: if by_kernel {
                Writer::Kernel
            } else {
                Writer::Other
            },
            text: rest.0,
            times: 1,
            daemon: Daemon::Usual,
            has_header: true,
        }
    }

    /// Takes the kernel's own time off the message, and rsyslog's `message
    /// repeated 5 times: [ … ]`.
    fn unfolded(mut self) -> Self {
        if self.writer != Writer::Kernel {
            return self;
        }
        let mut rest = Cursor(self.text);
        if let Some(times) = repeated(&mut rest, b"message repeated ")
            && rest.eat(b": [").is_some()
            && let Some(inside) = rest.0.strip_suffix(b"]")
        {
            self.times = times;
            rest = Cursor(inside);
            rest.blanks();
            self.text = rest.0;
        }
        let mut rest = Cursor(self.text);
        if let Some(uptime) = rest.uptime() {
            self.uptime = Some(uptime);
            self.text = rest.0;
            if self.stamp == Stamp::Missing {
                self.stamp = Stamp::Uptime(uptime);
            }
        }
        self
    }

    /// How often the syslog daemon says that the line before is to be repeated.
    pub fn repeats(&self) -> Option<u64> {
        (self.writer == Writer::Syslogd)
            .then(|| repeated(&mut Cursor(self.text), LAST))
            .flatten()
    }
}

/// How sysklogd, and rsyslog in its manner, fold equal lines.
const LAST: &[u8] = b"last message repeated ";

/// `message repeated 5 times`.
fn repeated(rest: &mut Cursor<'_>, how: &[u8]) -> Option<u64> {
    let mut ahead = *rest;
    ahead.eat(how)?;
    let (times, _) = ahead.number(18)?;
    ahead.eat(b" times")?;
    *rest = ahead;
    Some(times)
}

/// `<4>`: facility and level.
fn priority(rest: &mut Cursor<'_>) -> Option<u64> {
    let mut ahead = *rest;
    ahead.eat(b"<")?;
    let (priority, _) = ahead.number(3)?;
    ahead.eat(b">")?;
    *rest = ahead;
    Some(priority)
}

/// `kern  :warn  : `, as `dmesg -x` writes them.
fn decoded(rest: &mut Cursor<'_>) {
    let mut ahead = *rest;
    let found = ahead.eat(b"kern").and_then(|()| {
        ahead.blanks();
        ahead.eat(b":")?;
        let level = ahead
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_lowercase())
            .count();
        ahead.0 = &ahead.0[level..];
        ahead.blanks();
        ahead.eat(b": ")
    });
    if found.is_some() {
        *rest = ahead;
    }
}

/// Host and tag of a syslog line, and the daemon that writes such ones.
fn header<'a>(rest: &mut Cursor<'a>) -> (Option<&'a [u8]>, Writer, Daemon) {
    if tag(rest).is_some() {
        return (None, Writer::Kernel, Daemon::Usual);
    }
    let mut ahead = *rest;
    let first = ahead.word();
    if first.ends_with(b":") {
        return (None, Writer::Other, Daemon::Usual);
    }
    let mut daemon = by_facility(first);
    let host = daemon.is_none().then_some(first);
    if host.is_some() {
        let mut beyond = ahead;
        daemon = by_facility(beyond.word());
        if daemon.is_some() {
            ahead = beyond;
        }
    }
    let writer = if tag(&mut ahead).is_some() {
        Writer::Kernel
    } else if ahead.0.starts_with(LAST) {
        Writer::Syslogd
    } else {
        Writer::Other
    };
    *rest = ahead;
    (host, writer, daemon.unwrap_or_default())
}

/// `kernel: `, and what a syslog daemon makes of it.
fn tag(rest: &mut Cursor<'_>) -> Option<()> {
    rest.eat(b"kernel: ").or_else(|| {
        let mut ahead = *rest;
        ahead.eat(b"kernel:")?;
        (ahead.0.first() == Some(&b'[')).then_some(())?;
        *rest = ahead;
        Some(())
    })?;
    rest.blanks();
    Some(())
}

/// `kern.warn`, as busybox and OpenWrt write it; `user.warn` is the same by a klogd that
/// is linked with glibc, whose openlog(3) takes the kernel's facility, 0, for none.
fn by_facility(word: &[u8]) -> Option<Daemon> {
    let (level, as_user) = match word.strip_prefix(b"kern.") {
        Some(level) => (level, false),
        None => (word.strip_prefix(b"user.")?, true),
    };
    [
        &b"emerg"[..],
        b"alert",
        b"crit",
        b"err",
        b"warn",
        b"warning",
        b"notice",
        b"info",
        b"debug",
    ]
    .contains(&level)
    .then_some(Daemon::BusyBox { as_user })
}

/// `HOST APP-NAME PROCID MSGID STRUCTURED-DATA MSG` (RFC 5424, section 6).
fn structured_header<'a>(rest: &mut Cursor<'a>) -> (Option<&'a [u8]>, Writer) {
    let host = rest.word();
    let writer = if rest.word() == b"kernel" {
        Writer::Kernel
    } else {
        Writer::Other
    };
    rest.word();
    rest.word();
    while rest.0.first() == Some(&b'[') {
        let Some(end) = end_of_element(rest.0) else {
            return (Some(host), Writer::Other);
        };
        rest.0 = &rest.0[end + 1..];
    }
    let _ = rest.eat(b"-");
    rest.blanks();
    let _ = rest.eat(b"\xef\xbb\xbf");
    ((host != b"-").then_some(host), writer)
}

/// Where a structured element ends. In the quotes of a value a backslash is before `"`,
/// `\\` and `]` that are part of it (RFC 5424, section 6.3.3).
fn end_of_element(element: &[u8]) -> Option<usize> {
    let mut in_quotes = false;
    let mut escaped = false;
    element.iter().position(|&byte| {
        let ends = byte == b']' && !in_quotes;
        in_quotes ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && in_quotes && !escaped;
        ends
    })
}
