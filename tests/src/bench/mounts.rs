//! File systems that bpftrace wants and this machine may not have mounted.

use std::{io, ptr};

use anyhow::{Context as _, Result};

use crate::stage::mount;

/// Gives this process mounts of its own, and among them debugfs.
pub(super) fn private_debugfs() -> Result<()> {
    // SAFETY: takes a number and touches no memory.
    let done = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    succeeded(done).context("cannot have mounts of my own; are you root?")?;
    // SAFETY: the path is a string that ends with NUL; the rest may be null.
    let done = unsafe {
        libc::mount(
            ptr::null(),
            c"/".as_ptr(),
            ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            ptr::null(),
        )
    };
    succeeded(done).context("cannot keep my mounts to myself")?;
    mount("debugfs", "/sys/kernel/debug")
}

fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
