//! The live screen of `ctdrop watch` on a real terminal: stopped, continued, small.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

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

const ENTERS: &str = "\u{1b}[?1049h";
const LEAVES: &str = "\u{1b}[?1049l";
const HIDES_CURSOR: &str = "\u{1b}[?25l";
const SHOWS_CURSOR: &str = "\u{1b}[?25h";

const CTRL_C: &str = "\u{3}";
const CTRL_Z: &str = "\u{1a}";

/// A terminal, and what was started on it.
struct Terminal {
    keyboard: File,
    /// The other side, as the program has it.
    line: OwnedFd,
    written: Arc<Mutex<Vec<u8>>>,
    width: u16,
    height: u16,
    child: Child,
}

impl Terminal {
    /// Starts a program as the first one on a terminal of its own; or says why there
    /// would be no screen.
    fn start(width: u16, height: u16, program: &[&str]) -> Option<Self> {
        if !Path::new("/proc/net/stat/nf_conntrack").exists() {
            eprintln!("skipped: conntrack is not loaded");
            return None;
        }
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let line = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let size = Winsize {
            ws_row: height,
            ws_col: width,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&line, size).unwrap();
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
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut screen = File::from(master);
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
            line: line.into(),
            written,
            width,
            height,
            child,
        })
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// How much was written so far.
    fn mark(&self) -> usize {
        self.written.lock().unwrap().len()
    }

    /// What was written since.
    fn since(&self, mark: usize) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()[mark..]).into_owned()
    }

    /// Waits until something was written after `mark`; gives all that was.
    #[track_caller]
    fn wait_for(&self, text: &str, mark: usize) -> String {
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
    fn screen(&self) -> vt100::Screen {
        let mut terminal = vt100::Parser::new(self.height, self.width, 0);
        terminal.process(&self.written.lock().unwrap());
        terminal.screen().clone()
    }

    /// Asserts that a shell can be used: its own screen, a cursor, an echo.
    #[track_caller]
    fn assert_given_back(&self) {
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

/// Types the command into a shell that controls jobs, and waits for its screen.
fn watch_in_a_shell() -> Option<Terminal> {
    let mut terminal = Terminal::start(100, 24, &["sh", "-i"])?;
    terminal.wait_for("$ ", 0);
    let mark = terminal.mark();
    let program = env!("CARGO_BIN_EXE_ctdrop");
    terminal.type_in(&format!("{program} watch --backend counters\n"));
    let drawn = terminal.wait_for("Ctrl-C ends", mark);
    assert!(drawn.contains(ENTERS) && drawn.contains(HIDES_CURSOR));
    Some(terminal)
}

#[test]
fn a_stop_gives_the_terminal_back_and_going_on_draws_again() {
    let Some(mut terminal) = watch_in_a_shell() else {
        return;
    };
    let mark = terminal.mark();
    terminal.type_in(CTRL_Z);
    let written = terminal.wait_for("Stopped", mark);
    let (before, _) = written.split_once("Stopped").unwrap();
    assert!(
        before.contains(LEAVES) && before.contains(SHOWS_CURSOR),
        "{before:?}"
    );
    terminal.assert_given_back();

    let mark = terminal.mark();
    terminal.type_in("echo still $((6 * 7))\n");
    let written = terminal.wait_for("still 42", mark);
    assert!(written.contains("echo still"), "no echo: {written:?}");
    thread::sleep(Duration::from_millis(1500));
    assert!(!terminal.since(mark).contains("refused"), "it is stopped");

    let mark = terminal.mark();
    terminal.type_in("fg\n");
    let drawn = terminal.wait_for("Ctrl-C ends", mark);
    assert!(drawn.contains(ENTERS) && drawn.contains(HIDES_CURSOR));
    assert!(terminal.screen().alternate_screen());

    let mark = terminal.mark();
    terminal.type_in(CTRL_C);
    let written = terminal.wait_for("Total in", mark);
    assert!(
        written.find(LEAVES) < written.find("Total in"),
        "{written:?}"
    );
    terminal.assert_given_back();
}

#[test]
fn in_the_background_nothing_is_drawn() {
    let Some(mut terminal) = watch_in_a_shell() else {
        return;
    };
    let mark = terminal.mark();
    terminal.type_in(CTRL_Z);
    terminal.wait_for("Stopped", mark);
    let mark = terminal.mark();
    terminal.type_in("bg\n");
    terminal.wait_for("$ ", mark);
    thread::sleep(Duration::from_millis(2500));
    let written = terminal.since(mark);
    assert!(
        !written.contains(ENTERS) && !written.contains("Ctrl-C ends"),
        "{written:?}"
    );
    terminal.assert_given_back();
    let mark = terminal.mark();
    terminal.type_in("fg\n");
    let drawn = terminal.wait_for("Ctrl-C ends", mark);
    assert!(drawn.contains(ENTERS), "{drawn:?}");
    let mark = terminal.mark();
    terminal.type_in(CTRL_C);
    terminal.wait_for("Total in", mark);
    terminal.assert_given_back();
}

#[test]
fn what_nobody_could_continue_is_not_stopped() {
    let watch = [
        env!("CARGO_BIN_EXE_ctdrop"),
        "watch",
        "--backend",
        "counters",
    ];
    let Some(mut terminal) = Terminal::start(100, 24, &watch) else {
        return;
    };
    terminal.wait_for("packets refused", 0);
    let mark = terminal.mark();
    terminal.type_in(CTRL_Z);
    thread::sleep(Duration::from_millis(100));
    let mark = mark.max(terminal.mark());
    terminal.wait_for("packets refused", mark);
    assert!(terminal.screen().alternate_screen());
    terminal.type_in(CTRL_C);
    terminal.wait_for("Total in", mark);
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_small_terminal_has_the_numbers_and_the_last_line() {
    let watch = [
        env!("CARGO_BIN_EXE_ctdrop"),
        "watch",
        "--backend",
        "counters",
    ];
    let Some(mut terminal) = Terminal::start(20, 10, &watch) else {
        return;
    };
    terminal.wait_for("refused", 0);
    let screen = terminal.screen();
    let lines: Vec<String> = screen.rows(0, 20).collect();
    assert!(
        lines.iter().any(|line| line == "0 packets refused …"),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line == "Ctrl-C ends and …"),
        "{lines:#?}"
    );
    terminal.type_in(CTRL_C);
    terminal.wait_for("Total", 0);
}
