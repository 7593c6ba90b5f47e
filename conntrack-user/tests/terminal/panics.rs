//! A panic beside a screen.

use std::{env, sync::Arc, thread, time::Duration};

use conntrack_user::{
    engine::{header::Header, update::Update, view::View},
    kernel::limits::Limits,
    observe::{arming::Arm, backend::Backend},
    say::port::Services,
    subscribers::{
        screen::{Controls, Screen},
        worker::Worker,
    },
};
use tokio::{runtime, sync::watch};

use crate::pty::{ENTERS, LEAVES, Terminal};

#[test]
fn a_panic_is_read_on_the_terminal_as_it_was() {
    let this = env::current_exe().unwrap();
    let program = [
        this.to_str().unwrap(),
        "--ignored",
        "--exact",
        "panics::panics_beside_a_screen",
        "--nocapture",
    ];
    let Some(mut terminal) = Terminal::start(80, 24, &program) else {
        return;
    };
    let written = terminal.wait_for("of a bug in a test", 0);
    let (before, _) = written.split_once("of a bug in a test").unwrap();
    assert!(
        before.find(ENTERS).unwrap() < before.find(LEAVES).unwrap(),
        "{written:?}"
    );
    assert_eq!(terminal.end(), Some(0));
    terminal.assert_given_back();
}

/// A program with a screen, and a thread that panics.
#[test]
#[ignore = "on a terminal of its own: see a_panic_is_read_on_the_terminal_as_it_was"]
fn panics_beside_a_screen() {
    let controls = Controls {
        quit: Arc::default(),
        view: watch::channel(View::default()).0,
        replay: None,
        ceiling: None,
    };
    let make = |inbox| Screen::new(Services::default(), controls, inbox);
    let screen = Worker::start_with("the screen", make).unwrap();
    let header = Header {
        time: "2026-11-30T10:00:00.000Z".to_owned(),
        host: "gw1".to_owned(),
        release: "6.12.48".to_owned(),
        backend: Backend::Counters,
        not_used: Vec::new(),
        arm: Arm::Always,
        armed: true,
        pins_module: false,
        releases_module: false,
        limits: Limits::default(),
        fullest: Vec::new(),
        only: None,
        warnings: Vec::new(),
    };
    screen.tell(&Arc::new(Update::Started(Box::new(header))));
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(screen.caught_up());
    // It draws once nothing waits.
    thread::sleep(Duration::from_millis(500));
    let panics = thread::spawn(|| panic!("of a bug in a test"));
    assert!(panics.join().is_err());
    runtime.block_on(screen.finish()).unwrap();
}
