//! An entry as `conntrack -L -o xml` writes it: an element `flow`, on one line
//! (`src/conntrack/snprintf_xml.c` of `libnetfilter_conntrack`).

use crate::table::{
    entry::{self, Entry, SCTP},
    saved::{
        cursor::Cursor,
        draft::{Direction, Draft},
    },
};

/// Whether a line is one of the two around the flows, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// `<conntrack>`, and what is before it.
    Open,
    /// `</conntrack>`
    Close,
}

/// Which part of the frame a line is, if it is one.
pub(super) fn frame(line: &[u8]) -> Option<Frame> {
    if line.starts_with(b"<?xml") || line == b"<conntrack>" {
        return Some(Frame::Open);
    }
    (line == b"</conntrack>").then_some(Frame::Close)
}

/// Reads a line; none if it is no whole flow.
pub(super) fn parse(line: &[u8]) -> Option<Entry> {
    let inner = line.strip_prefix(b"<flow")?.strip_suffix(b"</flow>")?;
    let mut draft = Draft::new(protocol(inner)?);
    // The part of a flow: a direction, or what is true of both.
    let mut part = None;
    for tag in memchr::memchr_iter(b'<', inner) {
        let mut cursor = Cursor(&inner[tag + 1..]);
        if cursor.past(b"meta direction=\"") {
            part = match cursor.0 {
                [b'o', ..] => Some(Direction::Original),
                [b'r', ..] => Some(Direction::Reply),
                _ => None,
            };
        } else if !matches!(cursor.0, [b'/', ..]) {
            match part {
                Some(direction) => of_direction(cursor, &mut draft, direction)?,
                None => of_both(cursor, &mut draft)?,
            }
        }
    }
    draft.finish()
}

/// `<layer4 protonum="6" protoname="tcp">`
fn protocol(flow: &[u8]) -> Option<u8> {
    const ATTRIBUTE: &[u8] = b"<layer4 protonum=\"";
    let at = memchr::memmem::find(flow, ATTRIBUTE)? + ATTRIBUTE.len();
    Cursor(&flow[at..]).small()
}

fn of_direction(mut cursor: Cursor<'_>, draft: &mut Draft, direction: Direction) -> Option<()> {
    if cursor.past(b"src>") {
        draft.source(direction, cursor.address()?);
    } else if cursor.past(b"dst>") {
        draft.destination(direction, cursor.address()?);
    } else if cursor.past(b"sport>") {
        draft.sport(direction, cursor.small()?);
    } else if cursor.past(b"dport>") {
        draft.dport(direction, cursor.small()?);
    } else if cursor.past(b"srckey>") {
        draft.sport(direction, cursor.key()?);
    } else if cursor.past(b"dstkey>") {
        draft.dport(direction, cursor.key()?);
    } else if cursor.past(b"packets>") {
        draft.packets(cursor.number()?);
    } else if direction == Direction::Original && cursor.past(b"zone>") {
        draft.entry.zone = cursor.small()?;
    }
    Some(())
}

fn of_both(mut cursor: Cursor<'_>, draft: &mut Draft) -> Option<()> {
    if cursor.past(b"state>") {
        state(cursor, draft);
    } else if cursor.past(b"timeout>") {
        draft.entry.timeout = Some(cursor.small()?);
    } else if cursor.past(b"mark>") {
        draft.entry.mark = cursor.small()?;
    } else if cursor.past(b"zone>") {
        draft.entry.zone = cursor.small()?;
    } else if cursor.past(b"deltatime>") {
        draft.age(cursor.number()?);
    } else if cursor.past(b"unreplied/>") {
        draft.unreplied();
    } else if cursor.past(b"assured/>") {
        draft.assured();
    }
    Some(())
}

/// The library writes the number of SCTP's state by the name that TCP has for it.
fn state(cursor: Cursor<'_>, draft: &mut Draft) {
    let end = memchr::memchr(b'<', cursor.0).unwrap_or(cursor.0.len());
    let name = &cursor.0[..end];
    if draft.entry.protocol == SCTP {
        draft.entry.state = entry::state_number(entry::TCP, name);
    } else {
        draft.state(name);
    }
}
