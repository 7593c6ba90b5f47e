//! The log of the kernel that a scenario runs on.

use std::io;

use anyhow::{Context as _, Result};

/// Action of syslog(2) that reads the whole log: `SYSLOG_ACTION_READ_ALL`.
const READ_ALL: libc::c_int = 3;

/// Room for the log; kernels keep 256 KiB by default.
const LOG_SIZE: usize = 1 << 20;

/// The kernel log up to now.
pub fn kernel_log() -> Result<String> {
    read().context("cannot read the kernel log")
}

fn read() -> io::Result<String> {
    let mut log = vec![0_u8; LOG_SIZE];
    let size = libc::c_int::try_from(log.len()).map_err(io::Error::other)?;
    // SAFETY: the buffer has `size` writable bytes.
    let read = unsafe { libc::klogctl(READ_ALL, log.as_mut_ptr().cast(), size) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    log.truncate(read);
    Ok(String::from_utf8_lossy(&log).into_owned())
}
