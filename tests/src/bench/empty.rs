//! A program at a raw tracepoint that does nothing. bpftrace 0.17 knows only the slower
//! tracepoints of perf.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};

/// Attached until it is dropped.
#[derive(Debug)]
pub(super) struct Empty {
    _link: OwnedFd,
}

/// `struct { … }` of `BPF_PROG_LOAD` in `union bpf_attr` (`include/uapi/linux/bpf.h`), as far
/// as it is used.
#[repr(C)]
struct Load {
    kind: u32,
    instructions: u32,
    first: u64,
    license: u64,
}

/// The same of `BPF_RAW_TRACEPOINT_OPEN`.
#[repr(C)]
struct Open {
    name: u64,
    program: u32,
    padding: u32,
}

const PROG_LOAD: i64 = 5;
const RAW_TRACEPOINT_OPEN: i64 = 17;
const RAW_TRACEPOINT: u32 = 17;

/// `r0 = 0; exit`, eight bytes each.
const NOTHING: [u64; 2] = [0xb7, 0x95];

impl Empty {
    /// Loads and attaches it.
    pub(super) fn at(tracepoint: &CStr) -> Result<Self> {
        let load = Load {
            kind: RAW_TRACEPOINT,
            instructions: 2,
            first: NOTHING.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
        };
        let program = bpf(PROG_LOAD, &load).context("cannot load an empty program")?;
        let open = Open {
            name: tracepoint.as_ptr() as u64,
            program: program.as_raw_fd().cast_unsigned(),
            padding: 0,
        };
        let link = bpf(RAW_TRACEPOINT_OPEN, &open)
            .with_context(|| format!("cannot attach an empty program to {tracepoint:?}"))?;
        Ok(Self { _link: link })
    }
}

/// Calls `bpf(2)` for a command that returns a descriptor.
fn bpf<T>(command: i64, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the length of the attributes is correct, and what they point to lives until the
    // call returns.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given it to this process.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
