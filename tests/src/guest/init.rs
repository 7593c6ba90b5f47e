//! What only the first process of a machine may and must do.

use std::{
    io::{self, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

/// Action of syslog(2) that reads the whole log: `SYSLOG_ACTION_READ_ALL`.
const READ_ALL: libc::c_int = 3;

/// Room for the log; kernels keep 256 KiB by default.
const LOG_SIZE: usize = 1 << 20;

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

/// The kernel log up to now.
pub(super) fn kernel_log() -> io::Result<String> {
    let mut log = vec![0_u8; LOG_SIZE];
    let size = libc::c_int::try_from(log.len()).map_err(io::Error::other)?;
    // SAFETY: the buffer has `size` writable bytes.
    let read = unsafe { libc::klogctl(READ_ALL, log.as_mut_ptr().cast(), size) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    log.truncate(read);
    Ok(String::from_utf8_lossy(&log).into_owned())
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
