//! What only the first process of a machine may and must do.

use std::{
    io::{self, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

/// Runs a command to its end; in the meantime buries the orphans of others.
pub(super) fn run(command: &mut Command) -> Result<ExitStatus> {
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let child = child.id().cast_signed();
    loop {
        let mut status = 0;
        // SAFETY: the pointer is to a variable of this function.
        let ended = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if ended == child {
            return Ok(ExitStatus::from_raw(status));
        }
        if ended < 0 {
            return Err(io::Error::last_os_error()).context("cannot wait for the scenario");
        }
    }
}

/// Waits until everything printed has left for the console.
pub(super) fn drain_console() {
    let _ = io::stdout().flush();
    // SAFETY: tcdrain takes a descriptor; a bad one gives an error.
    unsafe { libc::tcdrain(libc::STDOUT_FILENO) };
}

/// Ends the machine.
pub(super) fn power_off() -> ! {
    // SAFETY: sync(2) has no arguments and cannot fail.
    unsafe { libc::sync() };
    // SAFETY: this command of reboot(2) takes no pointer.
    let failed = unsafe { libc::reboot(libc::RB_POWER_OFF) };
    println!(
        "cannot power off ({failed}): {}",
        io::Error::last_os_error()
    );
    loop {
        // A first process that ended would make the kernel panic.
        thread::sleep(Duration::from_hours(1));
    }
}
