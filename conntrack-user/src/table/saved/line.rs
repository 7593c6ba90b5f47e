//! An entry as a line of text: of `conntrack -L`, `/proc/net/nf_conntrack` or
//! `/proc/net/ip_conntrack`.
//!
//! `ipv4     2 tcp      6 431999 ESTABLISHED src=… dst=… sport=… dport=… packets=…
//! bytes=… src=… dst=… sport=… dport=… [ASSURED] mark=… zone=… use=…`. The plain
//! `conntrack -L` and `ip_conntrack` begin with the protocol. An entry that is
//! offloaded shows neither time nor state (`nf_conntrack_standalone.c: ct_seq_show`;
//! `src/conntrack/snprintf_default.c` of `libnetfilter_conntrack`).

use crate::{
    say::protocol::is_icmp,
    table::{
        entry::Entry,
        saved::{
            cursor::Cursor,
            draft::{Direction, Draft},
        },
    },
};

/// Reads a line; none if it is no whole entry.
pub(super) fn parse(line: &[u8]) -> Option<Entry> {
    let mut cursor = Cursor(line);
    cursor.past_spaces();
    if cursor.past(b"ipv4 ") || cursor.past(b"ipv6 ") {
        cursor.past_spaces();
        cursor.number()?;
        cursor.past_spaces();
    }
    let name = cursor.word();
    if !name.first()?.is_ascii_alphanumeric() {
        return None;
    }
    cursor.past_spaces();
    let mut draft = Draft::new(cursor.small()?);
    cursor.past_spaces();
    if cursor.0.first()?.is_ascii_digit() {
        draft.entry.timeout = Some(cursor.small()?);
        cursor.past_spaces();
    }
    if cursor.0.first()?.is_ascii_uppercase() {
        draft.state(cursor.word());
    }
    pairs(cursor, &mut draft)?;
    draft.finish()
}

/// Reads what follows: words of the form `key=value`, and marks in brackets. Those
/// that are not known are passed over.
fn pairs(mut cursor: Cursor<'_>, draft: &mut Draft) -> Option<()> {
    let mut direction = Direction::Original;
    let mut sources = 0;
    loop {
        cursor.past_spaces();
        let known = match *cursor.0 {
            [] | [b'\r'] => return Some(()),
            [b's', b'r', b'c', b'=', ..] => {
                if sources > 0 {
                    direction = Direction::Reply;
                }
                sources += 1;
                cursor.past(b"src=");
                draft.source(direction, cursor.address()?);
                true
            }
            [b'd', ..] => of_d(&mut cursor, draft, direction)?,
            [b's', ..] => of_s(&mut cursor, draft, direction)?,
            [b'p' | b'm' | b'z', ..] => of_the_whole(&mut cursor, draft)?,
            [b't' | b'c' | b'i', ..] if is_icmp(draft.entry.protocol) => {
                icmp(&mut cursor, draft, direction)?
            }
            [b'[', ..] => {
                mark(cursor.word(), draft);
                true
            }
            _ => false,
        };
        if known {
            if !cursor.is_between() {
                return None;
            }
        } else {
            cursor.word();
        }
    }
}

fn of_d(cursor: &mut Cursor<'_>, draft: &mut Draft, direction: Direction) -> Option<bool> {
    if cursor.past(b"dst=") {
        draft.destination(direction, cursor.address()?);
    } else if cursor.past(b"dport=") {
        draft.dport(direction, cursor.small()?);
    } else if cursor.past(b"dstkey=") {
        draft.dport(direction, cursor.key()?);
    } else if cursor.past(b"delta-time=") {
        draft.age(cursor.number()?);
    } else {
        return Some(false);
    }
    Some(true)
}

fn of_s(cursor: &mut Cursor<'_>, draft: &mut Draft, direction: Direction) -> Option<bool> {
    if cursor.past(b"sport=") {
        draft.sport(direction, cursor.small()?);
    } else if cursor.past(b"srckey=") {
        draft.sport(direction, cursor.key()?);
    } else {
        return Some(false);
    }
    Some(true)
}

fn of_the_whole(cursor: &mut Cursor<'_>, draft: &mut Draft) -> Option<bool> {
    if cursor.past(b"packets=") {
        draft.packets(cursor.number()?);
    } else if cursor.past(b"mark=") {
        draft.entry.mark = cursor.small()?;
    } else if cursor.past(b"zone=") || cursor.past(b"zone-orig=") {
        draft.entry.zone = cursor.small()?;
    } else {
        return Some(false);
    }
    Some(true)
}

/// Behind the tuples `id=` is the number of the entry (`-o id`).
fn icmp(cursor: &mut Cursor<'_>, draft: &mut Draft, direction: Direction) -> Option<bool> {
    if cursor.past(b"type=") {
        draft.icmp(direction, u16::from(cursor.small::<u8>()?) << 8);
    } else if cursor.past(b"code=") {
        draft.icmp(direction, cursor.small::<u8>()?.into());
    } else if direction == Direction::Original && cursor.past(b"id=") {
        draft.sport(direction, cursor.small()?);
    } else {
        return Some(false);
    }
    Some(true)
}

fn mark(word: &[u8], draft: &mut Draft) {
    match word {
        b"[UNREPLIED]" => draft.unreplied(),
        b"[ASSURED]" => draft.assured(),
        b"[OFFLOAD]" | b"[HW_OFFLOAD]" => draft.offloaded(),
        _ => {}
    }
}
