//! The terminal's other screen, on which lines are drawn in place.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use crossterm::{
    cursor, execute, queue, style,
    terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen},
};
use rustix::{process::getpgrp, termios::tcgetpgrp};

/// The terminal; its other screen is left when this is dropped.
pub(super) struct Terminal {
    /// Whether lines are drawn as they are; else without colours.
    coloured: bool,
    /// Whether its other screen is shown.
    shown: bool,
}

/// Columns and lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Terminal {
    /// Whether standard output can show it: a terminal that knows control
    /// sequences and its own size. A serial console may not.
    pub(super) fn is_possible() -> bool {
        let knows_control = env::var("TERM").is_ok_and(|term| term != "dumb");
        io::stdout().is_terminal()
            && knows_control
            && terminal::size().is_ok_and(|(width, height)| width > 0 && height > 1)
    }

    /// Nothing is shown yet.
    pub(super) fn new() -> Self {
        Self {
            coloured: AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            shown: false,
        }
    }

    /// Draws lines over the previous ones; `lines` are those for a size. In the
    /// background the terminal is somebody else's, and nothing is drawn.
    pub(super) fn draw(&mut self, lines: impl FnOnce(Size) -> Vec<String>) -> io::Result<()> {
        if !is_in_foreground() {
            self.shown = false;
            return Ok(());
        }
        if !self.shown {
            execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
            self.shown = true;
        }
        let (width, height) = terminal::size()?;
        let size = Size {
            width: width.into(),
            height: height.into(),
        };
        let mut drawn = Vec::new();
        render(&mut drawn, &lines(size), size, self.coloured)?;
        let mut out = io::stdout().lock();
        out.write_all(&drawn)?;
        out.flush()
    }

    /// Leaves its other screen, and the terminal as it was.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        if !self.shown {
            return Ok(());
        }
        self.shown = false;
        execute!(io::stdout(), LeaveAlternateScreen, cursor::Show)
    }

    /// Whatever was shown, somebody else has used the terminal meanwhile.
    pub(super) const fn forget(&mut self) {
        self.shown = false;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = self.leave();
    }
}

/// Writes lines, of which there are no more than the terminal has, over whatever is
/// on it.
pub(super) fn render(
    out: &mut Vec<u8>,
    lines: &[String],
    size: Size,
    coloured: bool,
) -> io::Result<()> {
    queue!(out, terminal::DisableLineWrap)?;
    for (row, line) in (0_u16..).zip(lines) {
        // Cleared before: after a line that fills it, its last letter would go.
        queue!(out, cursor::MoveTo(0, row), Clear(ClearType::CurrentLine))?;
        if coloured {
            queue!(out, style::Print(line))?;
        } else {
            queue!(out, style::Print(strip_str(line)))?;
        }
    }
    if let Ok(below) = u16::try_from(lines.len())
        && lines.len() < size.height
    {
        queue!(
            out,
            cursor::MoveTo(0, below),
            Clear(ClearType::FromCursorDown)
        )?;
    }
    queue!(out, terminal::EnableLineWrap)
}

/// Whether the terminal is that of this process group now; where there is no job
/// control, it always is.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdout()).map_or(true, |foreground| foreground == getpgrp())
}
