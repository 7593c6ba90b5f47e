//! Stopping (Ctrl-Z) and going on (`fg`) with a screen, and another size of its window: a
//! shell gets its terminal back as it was.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Signal, getpgrp, getpid, getsid, kill_process};
use tokio::{
    signal::unix::{SignalKind, signal},
    time,
};

use crate::subscribers::{
    input::Input,
    worker::{Inbox, Pauser},
};

/// How long a stop waits for the terminal to be left; one that takes no output
/// (Ctrl-S) must not make it impossible.
const PATIENCE: Duration = Duration::from_secs(1);

/// Leaves the screen before each stop, and draws it again when the process goes on or the
/// terminal has another size, from now until the end.
pub(super) fn follow(screen: Pauser, inbox: Inbox) -> Result<()> {
    let catch = |kind, name| signal(kind).with_context(|| format!("cannot wait for {name}"));
    let mut stop = catch(SignalKind::from_raw(libc::SIGTSTP), "SIGTSTP")?;
    let mut go_on = catch(SignalKind::from_raw(libc::SIGCONT), "SIGCONT")?;
    let mut resize = catch(SignalKind::window_change(), "SIGWINCH")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = stop.recv() => if somebody_could_continue() {
                    let _ = time::timeout(PATIENCE, screen.suspend()).await;
                    // It ends with SIGCONT. An error leaves the screen as it is: left.
                    let _ = kill_process(getpid(), Signal::STOP);
                },
                _ = go_on.recv() => screen.resume(),
                _ = resize.recv() => inbox.put(Input::Resized),
            }
        }
    });
    Ok(())
}

/// Whether a stop can have an end. The kernel, too, stops no process group that is
/// orphaned (`get_signal` in `kernel/signal.c`): such as that of a terminal's first
/// process, which no shell has started.
fn somebody_could_continue() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}
