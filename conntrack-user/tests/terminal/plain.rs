//! What is no live screen on a terminal: colours, and looks that take each other's place.

use crate::{
    CTRL_C,
    pty::{ENTERS, Terminal},
};

const CTDROP: &str = env!("CARGO_BIN_EXE_ctdrop");

/// All that a command writes to a terminal.
fn written(program: &[&str]) -> Option<String> {
    let mut terminal = Terminal::start(80, 24, program)?;
    terminal.end();
    // Its last words may still be on the way.
    Some(terminal.wait_for("\n", 0))
}

#[test]
fn a_terminal_gets_colours_unless_they_are_not_wanted() {
    let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees/el5-curly-quotes");
    let status = format!("{CTDROP} status --root {tree}");
    for (line, coloured) in [
        (status.clone(), true),
        (format!("NO_COLOR= {status}"), true),
        (format!("NO_COLOR=1 {status}"), false),
        (format!("TERM=dumb {status}"), false),
        (format!("{status} --color never"), false),
        (format!("NO_COLOR=1 {status} --color always"), true),
    ] {
        let line = format!("unset CLICOLOR CLICOLOR_FORCE CI; {line}");
        let Some(written) = written(&["sh", "-c", &line]) else {
            return;
        };
        assert!(written.contains("CRITICAL"), "{line}: {written}");
        assert_eq!(written.contains('\u{1b}'), coloured, "{line}: {written}");
    }
}

#[test]
fn looks_take_each_others_place() {
    let watch = ["status", "--watch", "1s", "--interval", "100ms", "--utc"];
    let mut program = vec![CTDROP];
    program.extend(watch);
    let Some(mut terminal) = Terminal::start(80, 10, &program) else {
        return;
    };
    let first = terminal.wait_to_see(" +00:00")[0].clone();
    loop {
        let lines = terminal.wait_to_see(" +00:00");
        if lines[0] != first && lines[0].contains(" +00:00") {
            break;
        }
    }
    assert!(!terminal.since(0).contains(ENTERS));
    let screen = terminal.screen();
    let (row, _) = screen.cursor_position();
    assert!(row < 10, "the cursor is on the screen");
    terminal.type_in(CTRL_C);
    let code = terminal.end().unwrap();
    assert!((0..=3).contains(&code), "{code}");
    let state = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][usize::try_from(code).unwrap()];
    terminal.wait_to_see(&format!("{state}: "));
    terminal.assert_given_back();
}
