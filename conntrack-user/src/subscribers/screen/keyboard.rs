//! Reads keys, in a thread of its own.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _},
    os::fd::AsFd as _,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::subscribers::{
    input::Input,
    screen::{decode::Decoder, terminal},
    worker::Inbox,
};

/// How often it is tried whether the terminal is ours again.
const AGAIN: Duration = Duration::from_millis(50);

/// How long the rest of a key may take: over a slow line its bytes come one by one.
const REST: Duration = Duration::from_millis(50);

/// Reads keys until the terminal is gone or the process ends.
pub fn listen(inbox: Inbox) -> Result<()> {
    // Without a terminal to read from there are no keys: signals still end it.
    let Ok(mut keyboard) = open() else {
        return Ok(());
    };
    let reading = move || {
        // A read in the background fails then, instead of stopping the process.
        let mut background = SigSet::empty();
        background.add(Signal::SIGTTIN);
        let _ = background.thread_block();
        let mut decoder = Decoder::default();
        while read(&mut keyboard, &mut decoder, &inbox) {}
    };
    thread::Builder::new()
        .name("keyboard".to_owned())
        .spawn(reading)
        .context("cannot start a thread for the keyboard")?;
    Ok(())
}

fn open() -> io::Result<File> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Ok(stdin.as_fd().try_clone_to_owned()?.into());
    }
    File::open("/dev/tty")
}

/// Waits for bytes, and passes keys on. Whether more can come.
fn read(keyboard: &mut File, decoder: &mut Decoder, inbox: &Inbox) -> bool {
    if !terminal::is_ours() {
        thread::sleep(AGAIN);
        return true;
    }
    let patience = if decoder.waits() { REST } else { AGAIN * 10 };
    match has_bytes(keyboard, patience) {
        Ok(true) => {}
        Ok(false) => {
            if decoder.waits()
                && let Some(key) = decoder.give_up()
            {
                inbox.put(Input::Key(key));
            }
            return true;
        }
        Err(error) => return error.kind() == io::ErrorKind::Interrupted,
    }
    // Somebody else may have got it while this waited.
    if !terminal::is_ours() {
        return true;
    }
    let mut bytes = [0; 256];
    match keyboard.read(&mut bytes) {
        Ok(0) => false,
        Ok(length) => {
            let keys = decoder.feed(&bytes[..length]);
            for key in keys {
                inbox.put(Input::Key(key));
            }
            true
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
        Err(_) => !terminal::is_ours(),
    }
}

/// Whether bytes came within a time.
fn has_bytes(keyboard: &File, patience: Duration) -> io::Result<bool> {
    let mut waits = [PollFd::new(keyboard, PollFlags::IN)];
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    Ok(poll(&mut waits, Some(&patience))? > 0)
}
