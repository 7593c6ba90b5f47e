//! A terminal, and what was started on it.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// What takes and leaves the other screen.
pub(crate) const ENTERS: &str = "\u{1b}[?1049h";
pub(crate) const LEAVES: &str = "\u{1b}[?1049l";

/// The command.
pub(crate) const WATCH: [&str; 4] = [
    env!("CARGO_BIN_EXE_ctdrop"),
    "watch",
    "--backend",
    "counters",
];

const fn size(width: u16, height: u16) -> Winsize {
    Winsize {
        ws_row: height,
        ws_col: width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// A terminal with a program on it: its near side, and its side as the program has it.
pub(crate) fn open(width: u16, height: u16, program: &[&str]) -> (File, OwnedFd, Child) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let line = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    tcsetwinsize(&line, size(width, height)).unwrap();
    let child = Command::new("setsid")
        .arg("--ctty")
        .args(program)
        .env("TERM", "xterm")
        .env("PS1", "$ ")
        .env_remove("ENV")
        .stdin(line.try_clone().unwrap())
        .stdout(line.try_clone().unwrap())
        .stderr(line.try_clone().unwrap())
        .spawn()
        .unwrap();
    (File::from(master), line.into(), child)
}

#[track_caller]
pub(crate) fn end(child: &mut Child) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(began.elapsed() < PATIENCE, "it does not end");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A terminal, and what was started on it.
pub(crate) struct Terminal {
    keyboard: File,
    /// The other side, as the program has it.
    line: OwnedFd,
    pub(crate) written: Arc<Mutex<Vec<u8>>>,
    width: u16,
    height: u16,
    pub(crate) child: Child,
}

impl Terminal {
    /// Starts a program as the first one on a terminal of its own; or says why there
    /// would be no screen.
    pub(crate) fn start(width: u16, height: u16, program: &[&str]) -> Option<Self> {
        if !Path::new("/proc/net/stat/nf_conntrack").exists() {
            eprintln!("skipped: conntrack is not loaded");
            return None;
        }
        let (mut screen, line, child) = open(width, height, program);
        let written = Arc::new(Mutex::new(Vec::new()));
        let keyboard = screen.try_clone().unwrap();
        let seen = Arc::clone(&written);
        // It ends with the last program on the terminal.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                seen.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Some(Self {
            keyboard,
            line,
            written,
            width,
            height,
            child,
        })
    }

    /// Starts the command by itself.
    pub(crate) fn watch(width: u16, height: u16) -> Option<Self> {
        Self::start(width, height, &WATCH)
    }

    pub(crate) fn resize(&mut self, width: u16, height: u16) {
        tcsetwinsize(&self.line, size(width, height)).unwrap();
        (self.width, self.height) = (width, height);
    }

    /// Waits until somebody sees a text.
    #[track_caller]
    pub(crate) fn wait_to_see(&self, text: &str) -> Vec<String> {
        let began = Instant::now();
        loop {
            let lines: Vec<String> = self.screen().rows(0, self.width).collect();
            if lines.iter().any(|line| line.contains(text)) {
                return lines;
            }
            assert!(began.elapsed() < PATIENCE, "no {text:?} in {lines:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end of what was started; its exit code.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<i32> {
        end(&mut self.child)
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// How much was written so far.
    pub(crate) fn mark(&self) -> usize {
        self.written.lock().unwrap().len()
    }

    /// What was written since.
    pub(crate) fn since(&self, mark: usize) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()[mark..]).into_owned()
    }

    /// Waits until something was written after `mark`; gives all that was.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str, mark: usize) -> String {
        let began = Instant::now();
        loop {
            let since = self.since(mark);
            if since.contains(text) {
                return since;
            }
            let last = || since.chars().rev().take(2000).collect::<Vec<char>>();
            assert!(
                began.elapsed() < PATIENCE,
                "no {text:?} in …{:?}",
                last().into_iter().rev().collect::<String>()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The terminal as somebody sees it.
    pub(crate) fn screen(&self) -> vt100::Screen {
        let mut terminal = vt100::Parser::new(self.height, self.width, 0);
        terminal.process(&self.written.lock().unwrap());
        terminal.screen().clone()
    }

    /// Asserts that the screen has the terminal: no echo, but signals of keys.
    #[track_caller]
    pub(crate) fn assert_taken(&self) {
        let screen = self.screen();
        assert!(screen.alternate_screen() && screen.hide_cursor());
        let modes = tcgetattr(self.line.as_fd()).unwrap().local_modes;
        assert!(
            !modes.intersects(LocalModes::ECHO | LocalModes::ICANON),
            "{modes:?}"
        );
        assert!(modes.contains(LocalModes::ISIG), "{modes:?}");
    }

    /// Asserts that a shell can be used: its own screen, a cursor, an echo.
    #[track_caller]
    pub(crate) fn assert_given_back(&self) {
        let screen = self.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
        let modes = tcgetattr(self.line.as_fd()).unwrap().local_modes;
        assert!(
            modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG),
            "{modes:?}"
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
