//! What each key does.

use crate::subscribers::input::Key;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// To another row or line.
    Move(Move),
    /// The next pane, or the one before.
    Pane { back: bool },
    /// Another order of the rows.
    Sort,
    /// The same order, the other way round.
    Reverse,
    /// Other rows.
    By { back: bool },
    /// To type a filter.
    Filter,
    /// To stand still, or to go on.
    Pause,
    /// Local time or UTC.
    Clock,
    /// The row as JSON into the clipboard.
    Copy,
    /// Who fills the table.
    Census,
    /// What `ctdrop fix` would do.
    Plan,
    /// The keys.
    Help,
    /// What the backend cannot see.
    Sight,
    /// Another part of a replay.
    Seek { back: bool },
    /// Another speed of a replay.
    Speed { slower: bool },
    /// Everything anew.
    Redraw,
    /// Back to the table.
    Close,
    /// The end.
    Quit,
}

/// How far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Left,
    Right,
}

/// The keys as the help has them: how they are written, and what they do.
pub(super) const HELP: [(&str, &str); 18] = [
    ("↑ ↓ k j", "row up, row down (so does the mouse wheel)"),
    ("← → h l", "more columns to the left, to the right"),
    ("PgUp PgDn", "page up, page down (also Ctrl-B, Ctrl-F)"),
    ("Home End g G", "first row, last row"),
    ("Tab", "next pane: table, events, incident, who, fix"),
    (
        "/",
        "filter: address, CIDR, port or part of a name; all words must match",
    ),
    ("s S", "sort by rate, total, first, last; reverse"),
    (
        "b B",
        "rows: flow, source, destination, service, namespace, reason, sender",
    ),
    ("space", "pause and go on; counting goes on meanwhile"),
    ("w", "who fills the table (reads it once)"),
    ("f", "the plan of ctdrop fix (changes nothing)"),
    ("c", "copy the row as JSON (OSC 52)"),
    ("t", "local time or UTC"),
    (
        "i",
        "what this backend cannot see, and why no better one is used",
    ),
    ("< > - +", "in a replay: back, forward, slower, faster"),
    ("Esc", "back to the table; clears the filter there"),
    ("Ctrl-L", "draw everything anew"),
    (
        "q Ctrl-C",
        "end and print the totals (Ctrl-Z stops, fg continues)",
    ),
];

/// What a key asks for; none of those that mean nothing.
pub(super) const fn action(key: Key) -> Option<Action> {
    Some(match key {
        Key::Up | Key::Char('k') => Action::Move(Move::Up),
        Key::Down | Key::Enter | Key::Char('j') => Action::Move(Move::Down),
        Key::Left | Key::Char('h') => Action::Move(Move::Left),
        Key::Right | Key::Char('l') => Action::Move(Move::Right),
        Key::PageUp | Key::Ctrl('b') => Action::Move(Move::PageUp),
        Key::PageDown | Key::Ctrl('f') => Action::Move(Move::PageDown),
        Key::Home | Key::Char('g') => Action::Move(Move::First),
        Key::End | Key::Char('G') => Action::Move(Move::Last),
        Key::Tab => Action::Pane { back: false },
        Key::BackTab => Action::Pane { back: true },
        Key::Char('s') => Action::Sort,
        Key::Char('S') => Action::Reverse,
        Key::Char('b') => Action::By { back: false },
        Key::Char('B') => Action::By { back: true },
        Key::Char('/') => Action::Filter,
        Key::Char(' ') => Action::Pause,
        Key::Char('t') => Action::Clock,
        Key::Char('c') => Action::Copy,
        Key::Char('w') => Action::Census,
        Key::Char('f') => Action::Plan,
        Key::Char('?') | Key::Help => Action::Help,
        Key::Char('i') => Action::Sight,
        Key::Char('<') => Action::Seek { back: true },
        Key::Char('>') => Action::Seek { back: false },
        Key::Char('-') => Action::Speed { slower: true },
        Key::Char('+') => Action::Speed { slower: false },
        Key::Ctrl('l') => Action::Redraw,
        Key::Escape => Action::Close,
        Key::Char('q') => Action::Quit,
        Key::Char(_) | Key::Ctrl(_) | Key::Backspace => return None,
    })
}
