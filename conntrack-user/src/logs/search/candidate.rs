//! What a line is that has something in it which logs are searched for.

use crate::{
    kernel::message::Message,
    logs::format::{
        docker::Printed,
        event::{Event, What},
        journal,
        line::{Line, Writer},
        stamp::Stamp,
        unknown::Form,
    },
};

/// What a line that may matter is.
#[derive(Debug)]
pub(super) enum Kind {
    /// One that matters.
    Counted(Event),
    /// The beginning of one.
    Cut,
    /// One about a full table that is not known to be the kernel's; with its form, unless it
    /// is known to be another program's.
    NotKernel(Option<Form>),
    /// The same with control bytes.
    Binary,
    /// Another line.
    Nothing,
}

/// Joins a message that a mail has cut at a blank with the rest of it, the next line.
pub(super) fn joined(bytes: &[u8], rest: Option<&[u8]>, at: (u64, u64)) -> Option<Event> {
    let rest = rest?;
    let line = Line::parse(bytes);
    let whole = [line.text, b" ", Line::parse(rest).text.trim_ascii()].concat();
    let message = Message::parse(&whole)?;
    let end = at.1 + rest.len() as u64 + 1;
    Some(event(
        (at.0, end),
        &line,
        What::Message(message, line.times),
    ))
}

/// Takes a line apart.
pub(super) fn kind_of(bytes: &[u8], at: (u64, u64)) -> Kind {
    if let Some(entry) = journal::json(bytes, at) {
        return entry.map_or_else(|| not_counted(bytes, None), Kind::Counted);
    }
    if let Some(printed) = Printed::parse(bytes) {
        return printed_kind(&printed, at);
    }
    let line = Line::parse(bytes);
    of_line(&line, at).unwrap_or_else(|| not_counted(bytes, Form::of(bytes, &line)))
}

/// What a line is that a container has printed.
fn printed_kind(printed: &Printed, at: (u64, u64)) -> Kind {
    let mut line = Line::parse(printed.log.as_bytes());
    if let (Stamp::Missing | Stamp::Uptime(_), Some(stamp)) = (line.stamp, printed.stamp()) {
        line.stamp = stamp;
        line.has_header = true;
    }
    let bytes = printed.log.trim_end().as_bytes();
    of_line(&line, at).unwrap_or_else(|| not_counted(bytes, Form::of(bytes, &line)))
}

/// What a line of the kernel is; none if it does not matter, or is not the kernel's.
fn of_line(line: &Line<'_>, at: (u64, u64)) -> Option<Kind> {
    if line.writer != Writer::Kernel {
        return None;
    }
    if let Some(message) = Message::parse(line.text) {
        let what = What::Message(message, line.times);
        return Some(Kind::Counted(event(at, line, what)));
    }
    if Message::is_cut(line.text) {
        return Some(Kind::Cut);
    }
    let messages = Message::damaged_report(line.text)?;
    Some(Kind::Counted(event(
        at,
        line,
        What::DamagedReport(messages),
    )))
}

/// Why a line about a full table is none of the kernel's.
fn not_counted(bytes: &[u8], form: Option<Form>) -> Kind {
    if !Message::is_quoted_in(bytes) {
        return Kind::Nothing;
    }
    let control = |byte: &u8| byte.is_ascii_control() && !b"\t\r".contains(byte);
    if bytes.iter().any(control) {
        Kind::Binary
    } else {
        Kind::NotKernel(form)
    }
}

/// A line that matters only by what it comes right after.
pub(super) fn other(bytes: &[u8], at: (u64, u64)) -> Event {
    let line = Line::parse(bytes);
    let left_of_report = (line.writer == Writer::Kernel)
        .then(|| Message::damaged_report(line.text))
        .flatten();
    event(at, &line, What::Other { left_of_report })
}

/// What a line says.
pub(super) fn event(at: (u64, u64), line: &Line<'_>, what: What) -> Event {
    Event {
        at,
        stamp: line.stamp,
        uptime: line.uptime,
        host: line.host.map(Into::into),
        boot: None,
        daemon: line.daemon,
        what,
    }
}
