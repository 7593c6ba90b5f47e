//! The file systems of a guest.

use std::{ffi::CString, fs, io};

use anyhow::{Context as _, Result};

/// Type and place of a file system, in the order of mounting.
const ALL: [(&str, &str); 10] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
    ("bpf", "/sys/fs/bpf"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("debugfs", "/sys/kernel/debug"),
    ("tracefs", "/sys/kernel/tracing"),
];

/// Mounts everything that a distribution mounts too.
pub fn mount_all() -> Result<()> {
    for (kind, place) in ALL {
        // Directories below /sys are the kernel's: they exist or cannot be made.
        if !place.starts_with("/sys/") {
            fs::create_dir_all(place).with_context(|| format!("cannot create {place}"))?;
        }
        mount(kind, place)?;
    }
    Ok(())
}

/// Mounts one file system of the kernel's own.
pub fn mount(kind: &str, place: &str) -> Result<()> {
    attach(kind, place, kind, 0)
}

/// Mounts an empty file system in memory that has room for so many bytes.
pub fn mount_small(place: &str, bytes: u64) -> Result<()> {
    attach_with("tmpfs", place, "tmpfs", 0, &format!("size={bytes}"))
}

/// Mounts the file system of type `kind` that `source` holds; `flags` as in mount(2).
pub fn attach(source: &str, place: &str, kind: &str, flags: libc::c_ulong) -> Result<()> {
    attach_with(source, place, kind, flags, "")
}

/// The same with options of the file system.
fn attach_with(
    source: &str,
    place: &str,
    kind: &str,
    flags: libc::c_ulong,
    options: &str,
) -> Result<()> {
    let [from, at, of, with] = [source, place, kind, options].map(CString::new);
    let (from, at, of, with) = (from?, at?, of?, with?);
    // SAFETY: all pointers are strings that end with NUL and outlive the call.
    let done = unsafe {
        libc::mount(
            from.as_ptr(),
            at.as_ptr(),
            of.as_ptr(),
            flags,
            with.as_ptr().cast(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error()).with_context(|| format!("cannot mount {source} at {place}"))
    }
}

/// Takes the topmost file system at a place away.
pub fn unmount(place: &str) -> Result<()> {
    let at = CString::new(place)?;
    // SAFETY: the pointer is a string that ends with NUL and outlives the call.
    let done = unsafe { libc::umount(at.as_ptr()) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error()).with_context(|| format!("cannot unmount {place}"))
    }
}
