//! What other programs and people put around a line of a log: mails and forums quote it,
//! grep says where it was, Docker and Kubernetes say when it was printed.

use crate::logs::format::stamp::{Cursor, Stamp};

/// How far a line of a log is moved to the right by a forum. The lines of one message that
/// `journalctl` prints below each other, which any program can write, begin further right.
const INDENTED: usize = 8;

/// How far into a line the name of a file or a container may reach.
const LONGEST_NAME: usize = 256;

/// A line without the marks of a quotation: `> ` before it, a byte order mark, quotes
/// around it, or a few blanks before it.
pub(super) fn unquoted(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let mut inside = line;
    while let Some(rest) = inside.trim_ascii_start().strip_prefix(b">") {
        inside = rest;
    }
    let bare = inside.trim_ascii_start();
    if inside.len() - bare.len() <= INDENTED {
        inside = bare;
    }
    for quote in [b"\"", b"'", b"`"] {
        if let Some(rest) = inside.strip_prefix(quote) {
            return rest.strip_suffix(quote).unwrap_or(inside);
        }
    }
    inside
}

/// What is carried in a line, or the line itself; and when it was printed if the carrier
/// says so.
pub(super) fn carried(line: &[u8]) -> (Option<Stamp>, &[u8]) {
    let inside = || {
        of_pod(line)
            .or_else(|| of_container(line))
            .or_else(|| of_file(line))
            .unwrap_or(line)
    };
    printed(line).unwrap_or_else(|| (None, inside()))
}

/// `2026-03-12T13:40:34.123456789Z stdout F [ 1281.489259] …`: the log of a container as
/// Kubernetes keeps it (CRI), or as `docker logs -t` prints it, which names no stream.
fn printed(line: &[u8]) -> Option<(Option<Stamp>, &[u8])> {
    let mut rest = Cursor(line);
    let stamp = rest.iso().filter(|stamp| matches!(stamp, Stamp::At(_)))?;
    rest.eat(b" ")?;
    let of_stream = [b"stdout ", b"stderr "].iter().any(|stream| {
        let mut ahead = rest;
        let found = ahead
            .eat(stream.as_slice())
            .and_then(|()| ahead.eat(b"F ").or_else(|| ahead.eat(b"P ")));
        if found.is_some() {
            rest = ahead;
        }
        found.is_some()
    });
    // Without a stream a host would come here, unless the line has a time of its own.
    (of_stream || has_time(rest.0)).then_some((Some(stamp), rest.0))
}

/// `[pod/NAME/CONTAINER] …`: `kubectl logs --prefix`.
fn of_pod(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"[pod/")?;
    let end = memchr::memmem::find(rest.get(..LONGEST_NAME).unwrap_or(rest), b"] ")?;
    Some(&rest[end + 2..])
}

/// `NAME-1  | …`: `docker compose logs`.
fn of_container(line: &[u8]) -> Option<&[u8]> {
    let mut rest = Cursor(line);
    rest.word();
    rest.eat(b"| ")?;
    Some(rest.0)
}

/// `/var/log/messages:…`, `17:…`: grep with the name of the file, the number of the line,
/// or both. A name with blanks is not known for one; after the name of a program there
/// is a blank, and so no time.
fn of_file(line: &[u8]) -> Option<&[u8]> {
    let names = line.get(..LONGEST_NAME).unwrap_or(line);
    let blank = memchr::memchr(b' ', names).unwrap_or(names.len());
    memchr::memchr_iter(b':', &names[..blank])
        .map(|colon| &line[colon + 1..])
        .find(|rest| has_time(rest))
}

/// Whether a line begins with a time.
fn has_time(line: &[u8]) -> bool {
    let mut ahead = Cursor(line);
    ahead.bracket().is_some()
        || ahead.syslog().is_some()
        || ahead.iso().is_some()
        || ahead.ctime().is_some()
        || ahead.local().is_some()
}
