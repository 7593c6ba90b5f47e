//! The terminal while a screen is on it: its other screen, without echo, and as it was
//! when it is given back.
//!
//! Signals of keys stay on: Ctrl-C, Ctrl-Z and Ctrl-\ reach the process as always.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    mem, panic,
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
};

use anstream::{AutoStream, ColorChoice};
use crossterm::{
    clipboard::CopyToClipboard,
    cursor, queue,
    style::Print,
    terminal::{
        self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate,
        EnterAlternateScreen, LeaveAlternateScreen,
    },
};
use ratatui::{Frame, backend::CrosstermBackend};
use rustix::{
    process::getpgrp,
    termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
    },
};

/// Lets the mouse wheel send arrows on the other screen, and leaves all else of the mouse
/// to the terminal: its own selection works.
const WHEEL_ON: &str = "\x1b[?1007h";
const WHEEL_OFF: &str = "\x1b[?1007l";

/// How the terminal was before a screen was on it; none while it is not ours.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

/// How a terminal was.
struct Before {
    /// None if it could not be told: then nothing was changed.
    modes: Option<Termios>,
}

/// The terminal; it is given back when this is dropped.
pub(super) struct Terminal {
    /// None as long as nothing was drawn since it was ours.
    drawn: Option<ratatui::Terminal<CrosstermBackend<Bytes>>>,
    bytes: Bytes,
}

/// Bytes for the terminal, until they are written all at once.
#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
        give_back_on_panic();
        Self {
            drawn: None,
            bytes: Bytes::default(),
        }
    }

    /// Whether colours are wanted.
    pub(super) fn is_coloured() -> bool {
        AutoStream::choice(&io::stdout()) != ColorChoice::Never
    }

    /// Draws over what was drawn before. In the background the terminal is somebody
    /// else's, and nothing is drawn.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if !is_in_foreground() {
            self.forget();
            return Ok(());
        }
        if !is_shown() {
            self.drawn = None;
            enter()?;
        }
        let terminal = match &mut self.drawn {
            Some(terminal) => terminal,
            drawn => {
                let backend = CrosstermBackend::new(self.bytes.clone());
                let terminal = ratatui::Terminal::new(backend)?;
                self.bytes.lock().clear();
                // Not by ratatui, which asks the terminal where the cursor is: nobody reads
                // the answer but the keyboard.
                queue!(self.bytes, Clear(ClearType::All))?;
                drawn.insert(terminal)
            }
        };
        terminal.draw(draw)?;
        let drawn = mem::take(&mut *self.bytes.lock());
        let mut frame = Vec::with_capacity(drawn.len() + 16);
        queue!(frame, BeginSynchronizedUpdate)?;
        frame.extend_from_slice(&drawn);
        queue!(frame, EndSynchronizedUpdate)?;
        write(&frame)
    }

    /// Draws everything anew: something else was written to the terminal.
    pub(super) fn redraw(&mut self) {
        self.drawn = None;
    }

    /// Asks the terminal to keep a text for pasting.
    pub(super) fn copy(text: &str) -> io::Result<()> {
        if !is_ours() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        queue!(bytes, CopyToClipboard::to_clipboard_from(text))?;
        write(&bytes)
    }

    /// Gives the terminal back as it was.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        self.drawn = None;
        leave()
    }

    /// Whatever was shown, somebody else has used the terminal meanwhile.
    pub(super) fn forget(&mut self) {
        self.drawn = None;
        *before() = None;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = self.leave();
    }
}

/// Whether a screen is on the terminal, and its process group reads from it.
pub(super) fn is_ours() -> bool {
    is_shown() && is_in_foreground()
}

/// Gives the terminal back, if a screen is on it: the process is about to end.
pub fn give_back() {
    let _ = leave();
}

/// A panic of any thread is to be read on the terminal's own screen. If the screen goes
/// on, it draws itself anew.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            give_back();
            next(panic);
        }));
    });
}

fn before() -> MutexGuard<'static, Option<Before>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_shown() -> bool {
    before().is_some()
}

/// Takes the terminal.
fn enter() -> io::Result<()> {
    let modes = tcgetattr(io::stdout()).ok();
    if let Some(modes) = &modes {
        let mut ours = modes.clone();
        ours.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        ours.special_codes[SpecialCodeIndex::VMIN] = 1;
        ours.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdout(), OptionalActions::Now, &ours)?;
    }
    *before() = Some(Before { modes });
    let mut bytes = Vec::new();
    queue!(bytes, EnterAlternateScreen, cursor::Hide, Print(WHEEL_ON))?;
    write(&bytes)
}

/// Gives it back.
fn leave() -> io::Result<()> {
    let Some(Before { modes }) = before().take() else {
        return Ok(());
    };
    let restored = match modes {
        Some(modes) if is_in_foreground() => tcsetattr(io::stdout(), OptionalActions::Now, &modes),
        _ => Ok(()),
    };
    let mut bytes = Vec::new();
    queue!(
        bytes,
        EndSynchronizedUpdate,
        Print(WHEEL_OFF),
        LeaveAlternateScreen,
        cursor::Show
    )?;
    write(&bytes)?;
    Ok(restored?)
}

/// Writes all of it at once.
fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Whether the terminal is that of this process group now; where there is no job
/// control, it always is.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdout()).map_or(true, |foreground| foreground == getpgrp())
}
