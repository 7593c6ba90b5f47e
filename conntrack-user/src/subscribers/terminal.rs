//! The live screen: the latest report, drawn in place.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use crossterm::{
    cursor, execute, queue, style,
    terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen},
};

/// The terminal's other screen, left when this is dropped.
pub(super) struct Terminal {
    /// Whether lines are drawn as they are; else without colours.
    coloured: bool,
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

    /// Enters it.
    pub(super) fn enter() -> io::Result<Self> {
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(Self {
            coloured: AutoStream::choice(&io::stdout()) != ColorChoice::Never,
        })
    }

    /// Draws lines over the previous ones, as many as fit.
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let (_, height) = terminal::size()?;
        queue!(out, cursor::MoveTo(0, 0), terminal::DisableLineWrap)?;
        for line in lines.iter().take(usize::from(height).saturating_sub(1)) {
            if self.coloured {
                queue!(out, style::Print(line))?;
            } else {
                queue!(out, style::Print(strip_str(line)))?;
            }
            queue!(
                out,
                Clear(ClearType::UntilNewLine),
                cursor::MoveToNextLine(1)
            )?;
        }
        queue!(
            out,
            Clear(ClearType::FromCursorDown),
            terminal::EnableLineWrap
        )?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
    }
}
