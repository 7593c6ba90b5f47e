//! The live screen of `ctdrop watch` on a real terminal: stopped, continued, small,
//! resized, hung up, ended in each way.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod panics;
mod plain;
mod pty;

use std::{io::Read as _, path::Path, thread, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use self::pty::{ENTERS, LEAVES, Terminal, WATCH, end, open};

const SHOWS_CURSOR: &str = "\u{1b}[?25h";

const CTRL_C: &str = "\u{3}";
const CTRL_Z: &str = "\u{1a}";

/// Types the command into a shell that controls jobs, and waits for its screen.
fn watch_in_a_shell() -> Option<Terminal> {
    let mut terminal = Terminal::start(100, 24, &["sh", "-i"])?;
    terminal.wait_for("$ ", 0);
    let mark = terminal.mark();
    let program = env!("CARGO_BIN_EXE_ctdrop");
    terminal.type_in(&format!("{program} watch --backend counters\n"));
    let drawn = terminal.wait_for(ENTERS, mark);
    assert!(drawn.contains(ENTERS));
    terminal.wait_to_see("quit");
    terminal.assert_taken();
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
    terminal.wait_for(ENTERS, mark);
    terminal.wait_to_see("quit");
    terminal.assert_taken();

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
        !written.contains(ENTERS) && !written.contains("quit"),
        "{written:?}"
    );
    terminal.assert_given_back();
    let mark = terminal.mark();
    terminal.type_in("fg\n");
    terminal.wait_for(ENTERS, mark);
    terminal.wait_to_see("quit");
    let mark = terminal.mark();
    terminal.type_in(CTRL_C);
    terminal.wait_for("Total in", mark);
    terminal.assert_given_back();
}

#[test]
fn what_nobody_could_continue_is_not_stopped() {
    let Some(mut terminal) = Terminal::watch(100, 24) else {
        return;
    };
    terminal.wait_to_see("quit");
    terminal.type_in(CTRL_Z);
    thread::sleep(Duration::from_millis(100));
    let mark = terminal.mark();
    // It goes on: the time of the last interval changes.
    thread::sleep(Duration::from_millis(2500));
    assert!(terminal.mark() > mark);
    terminal.assert_taken();
    terminal.type_in(CTRL_C);
    terminal.wait_for("Total in", mark);
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn a_small_terminal_has_the_numbers_and_the_last_line() {
    let Some(mut terminal) = Terminal::watch(20, 10) else {
        return;
    };
    let lines = terminal.wait_to_see("refused");
    let refused = lines.iter().find(|line| line.starts_with("refused"));
    assert!(refused.unwrap().trim_end().ends_with('0'), "{lines:#?}");
    assert!(lines[9].starts_with("q quit"), "{lines:#?}");
    terminal.type_in(CTRL_C);
    terminal.wait_for("Total", 0);
}

#[test]
fn keys_are_read_and_q_ends_with_the_totals() {
    let Some(mut terminal) = Terminal::watch(80, 24) else {
        return;
    };
    terminal.wait_to_see("quit");
    terminal.type_in("?");
    terminal.wait_to_see("Esc closes");
    terminal.type_in("\u{1b}");
    terminal.wait_to_see("flows by rate");
    terminal.type_in("/192.0.2.0/24 53\r");
    terminal.wait_to_see("filter: 192.0.2.0/24 53");
    terminal.type_in("b");
    terminal.wait_to_see("sources by rate");
    terminal.type_in("\u{1b}[Z");
    terminal.wait_to_see("f shows what ctdrop fix would do");
    let mark = terminal.mark();
    terminal.type_in("q");
    let written = terminal.wait_for("Total in", mark);
    assert!(
        written.find(LEAVES) < written.find("Total in"),
        "{written:?}"
    );
    assert_eq!(terminal.end(), Some(0));
    terminal.assert_given_back();
}

#[test]
fn a_thousand_sizes_leave_a_whole_screen() {
    let Some(mut terminal) = Terminal::watch(80, 24) else {
        return;
    };
    terminal.wait_to_see("quit");
    for step in 0..1000_u16 {
        terminal.resize(1 + step * 37 % 250, 1 + step * 13 % 80);
    }
    terminal.resize(90, 25);
    // What was drawn for other sizes does not count.
    thread::sleep(Duration::from_millis(500));
    terminal.written.lock().unwrap().clear();
    terminal.type_in("\u{c}");
    let lines = terminal.wait_to_see("quit");
    assert!(lines[24].starts_with("q quit"), "{lines:#?}");
    assert!(lines[0].starts_with("ctdrop "), "{lines:#?}");
    terminal.type_in("q");
    terminal.wait_for("Total in", 0);
    assert_eq!(terminal.end(), Some(0));
    terminal.assert_given_back();
}

#[test]
fn a_signal_to_end_gives_the_terminal_back() {
    for signal in [Signal::TERM, Signal::QUIT] {
        let Some(mut terminal) = Terminal::watch(80, 24) else {
            return;
        };
        terminal.wait_to_see("quit");
        kill_process(Pid::from_child(&terminal.child), signal).unwrap();
        terminal.wait_for("Total in", 0);
        assert_eq!(terminal.end(), Some(0));
        terminal.assert_given_back();
    }
}

#[test]
fn a_terminal_that_is_gone_ends_it() {
    if !Path::new("/proc/net/stat/nf_conntrack").exists() {
        eprintln!("skipped: conntrack is not loaded");
        return;
    }
    let (mut master, line, mut child) = open(80, 24, &WATCH);
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(ENTERS) {
        let length = master.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..length]);
    }
    drop((master, line));
    end(&mut child);
}

#[test]
fn no_tui_prints_lines() {
    let mut arguments = WATCH.to_vec();
    arguments.extend(["--no-tui", "--duration", "1500ms"]);
    let Some(mut terminal) = Terminal::start(80, 24, &arguments) else {
        return;
    };
    let written = terminal.wait_for("Total in", 0);
    assert!(!written.contains(ENTERS) && written.contains("packets refused"));
    assert_eq!(terminal.end(), Some(0));
}
