//! What comes to the screen beside updates: keys, and answers to what it has asked for.

use crate::{
    auto::event::PlanReport,
    subscribers::{census::Taken, playback::Position},
};

/// Something that came.
#[derive(Debug)]
pub enum Input {
    /// Somebody has pressed a key.
    Key(Key),
    /// The terminal has another size.
    Resized,
    /// A replay is elsewhere.
    Position(Position),
    /// Who is in the table of a namespace, or why that cannot be seen.
    Census(u32, Box<Result<Taken, String>>),
    /// What `ctdrop fix` would do, or why that cannot be planned.
    Plan(Box<Result<PlanReport, String>>),
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A letter, digit or sign.
    Char(char),
    /// A letter with Ctrl.
    Ctrl(char),
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow to the left.
    Left,
    /// Arrow to the right.
    Right,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// F1.
    Help,
}
