//! The only module that calls `bpf(2)` itself: what aya does not offer.
//!
//! That is loading a tracing program for a function inside a module, reading
//! maps in batches, and reading how often a program was skipped. The command
//! numbers and the layouts of the arguments are those of `enum bpf_cmd` and
//! `union bpf_attr` in `include/uapi/linux/bpf.h`, which only ever grow.

#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes are far below 4 GiB, and what the kernel answers is a descriptor"
)]

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

use aya_obj::generated::{bpf_insn, bpf_prog_info};

use crate::observe::bpf::unpreempted::Unpreempted;

const BPF_PROG_LOAD: u32 = 5;
const BPF_BTF_GET_FD_BY_ID: u32 = 19;
const BPF_BTF_GET_NEXT_ID: u32 = 23;
const BPF_OBJ_GET_INFO_BY_FD: u32 = 15;
const BPF_RAW_TRACEPOINT_OPEN: u32 = 17;
const BPF_MAP_LOOKUP_BATCH: u32 = 24;
const BPF_MAP_LOOKUP_AND_DELETE_BATCH: u32 = 25;

/// What a program is loaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// At the entry of a kernel function.
    Fentry(Target),
    /// At the exit of a kernel function.
    Fexit(Target),
    /// At a tracepoint.
    Tracepoint(Target),
    /// A socket filter: a kind that needs no target.
    Filter,
}

/// A kernel function or tracepoint, as the verifier wants it named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Id of its `FUNC` or, of a tracepoint, its `TYPEDEF` in BTF.
    pub(crate) id: u32,
    /// The module's BTF object, none for the kernel's own.
    pub(crate) module: Option<RawFd>,
}

impl Kind {
    /// Program type, attach type and target for `BPF_PROG_LOAD`.
    const fn numbers(self) -> (u32, u32, Option<Target>) {
        const SOCKET_FILTER: u32 = 1;
        const TRACING: u32 = 26;
        const TRACE_RAW_TP: u32 = 23;
        const TRACE_FENTRY: u32 = 24;
        const TRACE_FEXIT: u32 = 25;
        match self {
            Self::Fentry(target) => (TRACING, TRACE_FENTRY, Some(target)),
            Self::Fexit(target) => (TRACING, TRACE_FEXIT, Some(target)),
            Self::Tracepoint(target) => (TRACING, TRACE_RAW_TP, Some(target)),
            Self::Filter => (SOCKET_FILTER, 0, None),
        }
    }
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
    attach_btf_obj_fd: u32,
    fd_array: u32,
}

/// A program that the kernel did not take.
#[derive(Debug)]
pub(crate) struct LoadError {
    /// What the kernel answered.
    pub(crate) error: io::Error,
    /// The verifier's log, empty if it did not get that far.
    pub(crate) verifier: String,
}

/// Loads a program. On refusal it is loaded again with the verifier's log on,
/// to say why.
pub(crate) fn load_program(
    name: &str,
    kind: Kind,
    instructions: &[bpf_insn],
    license: &CStr,
) -> Result<OwnedFd, LoadError> {
    let (prog_type, expected_attach_type, target) = kind.numbers();
    let mut prog_name = [0; 16];
    for (to, from) in prog_name.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    let load = |log: &mut [u8]| {
        let mut attr = ProgLoad {
            prog_type,
            insn_cnt: instructions.len() as u32,
            insns: instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            prog_name,
            expected_attach_type,
            attach_btf_id: target.map_or(0, |target| target.id),
            attach_btf_obj_fd: target
                .and_then(|target| target.module)
                .map_or(0, RawFd::cast_unsigned),
            ..ProgLoad::default()
        };
        if !log.is_empty() {
            attr.log_level = 1;
            attr.log_size = log.len() as u32;
            attr.log_buf = log.as_mut_ptr() as u64;
        }
        call(BPF_PROG_LOAD, &mut attr).map(owned)
    };
    let error = match load(&mut []) {
        Ok(program) => return Ok(program),
        Err(error) => error,
    };
    let mut log = vec![0; 1 << 20];
    // Only for its log: the first answer is the one that counts.
    let _ = load(&mut log);
    Err(LoadError {
        error,
        verifier: text(&log),
    })
}

fn text(log: &[u8]) -> String {
    let text = log.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// Attaches a tracing program to what it was loaded for. It stays until the
/// descriptor is closed.
pub(crate) fn attach(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct RawTracepointOpen {
        name: u64,
        prog_fd: u32,
        reserved: u32,
    }
    let mut attr = RawTracepointOpen {
        name: 0,
        prog_fd: program.as_raw_fd().cast_unsigned(),
        reserved: 0,
    };
    call(BPF_RAW_TRACEPOINT_OPEN, &mut attr).map(owned)
}

/// Opens the BTF object of a module. Walks all BTF objects, which needs
/// `CAP_SYS_ADMIN`.
pub(crate) fn module_btf(module: &str) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct GetId {
        id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let mut id = 0;
    loop {
        let mut next = GetId {
            id,
            next_id: 0,
            open_flags: 0,
        };
        call(BPF_BTF_GET_NEXT_ID, &mut next)?;
        id = next.next_id;
        let mut by_id = GetId {
            id,
            next_id: 0,
            open_flags: 0,
        };
        match call(BPF_BTF_GET_FD_BY_ID, &mut by_id).map(owned) {
            Ok(btf) if btf_name(&btf)? == module.as_bytes() => return Ok(btf),
            // Another module's, or one unloaded while we looked.
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
}

#[repr(C)]
struct GetInfo {
    fd: u32,
    info_len: u32,
    info: u64,
}

fn info<T>(fd: &OwnedFd, info: &mut T) -> io::Result<()> {
    let mut attr = GetInfo {
        fd: fd.as_raw_fd().cast_unsigned(),
        info_len: size_of::<T>() as u32,
        info: std::ptr::from_mut(info) as u64,
    };
    call(BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}

fn btf_name(btf: &OwnedFd) -> io::Result<Vec<u8>> {
    #[repr(C)]
    #[derive(Default)]
    struct BtfInfo {
        btf: u64,
        btf_size: u32,
        id: u32,
        name: u64,
        name_len: u32,
        kernel_btf: u32,
    }
    let mut name = [0_u8; 64];
    let mut answer = BtfInfo {
        name: name.as_mut_ptr() as u64,
        name_len: name.len() as u32,
        ..BtfInfo::default()
    };
    info(btf, &mut answer)?;
    Ok(name
        .split(|&byte| byte == 0)
        .next()
        .unwrap_or_default()
        .to_vec())
}

/// How a program ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statistics {
    /// How often the kernel skipped it, because it was running already on the
    /// same CPU. Counted since 5.12; 0 before.
    pub(crate) missed: u64,
    /// How often it ran. Counted while `kernel.bpf_stats_enabled` is 1.
    pub(crate) runs: u64,
    /// For how long, in nanoseconds; as `runs`.
    pub(crate) nanoseconds: u64,
}

/// How a program ran since it was loaded.
pub(crate) fn statistics(program: &OwnedFd) -> io::Result<Statistics> {
    // SAFETY: integers only; all zero is a valid value of each.
    let mut answer: bpf_prog_info = unsafe { std::mem::zeroed() };
    info(program, &mut answer)?;
    Ok(Statistics {
        missed: answer.recursion_misses,
        runs: answer.run_cnt,
        nanoseconds: answer.run_time_ns,
    })
}

/// How a batch leaves the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// Entries stay.
    Read,
    /// Entries are taken out.
    Take,
}

#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Room for the entries of one batch.
struct Room {
    entries: usize,
    key_size: usize,
    value_size: usize,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl Room {
    fn new(key_size: usize, value_size: usize) -> Self {
        let entries = (256 * 1024 / (key_size + value_size)).max(64);
        Self {
            entries,
            key_size,
            value_size,
            keys: vec![0; entries * key_size],
            values: vec![0; entries * value_size],
        }
    }

    fn double(&mut self) {
        self.entries *= 2;
        self.keys.resize(self.entries * self.key_size, 0);
        self.values.resize(self.entries * self.value_size, 0);
    }

    /// The keys and the values of the first entries.
    fn first(&self, entries: usize) -> (&[u8], &[u8]) {
        (
            &self.keys[..entries * self.key_size],
            &self.values[..entries * self.value_size],
        )
    }
}

/// Reads all entries of a hash map, some thousand at a time (5.6 and later).
/// `each` gets a slice of keys and one of values, `key_size` and `value_size`
/// bytes for each entry; per-CPU values are rounded up to 8 bytes and follow
/// one another for every possible CPU.
pub(crate) fn batches(
    map: RawFd,
    how: Batch,
    (key_size, value_size): (usize, usize),
    mut each: impl FnMut(&[u8], &[u8]),
) -> io::Result<()> {
    let command = match how {
        Batch::Read => BPF_MAP_LOOKUP_BATCH,
        Batch::Take => BPF_MAP_LOOKUP_AND_DELETE_BATCH,
    };
    let mut room = Room::new(key_size, value_size);
    let mut cursor: Option<u64> = None;
    loop {
        let mut next = 0_u64;
        let mut attr = BatchAttr {
            in_batch: cursor
                .as_mut()
                .map_or(0, |cursor| std::ptr::from_mut(cursor) as u64),
            out_batch: std::ptr::from_mut(&mut next) as u64,
            keys: room.keys.as_mut_ptr() as u64,
            values: room.values.as_mut_ptr() as u64,
            count: room.entries as u32,
            map_fd: map.cast_unsigned(),
            elem_flags: 0,
            flags: 0,
        };
        let answer = {
            let _unpreempted = Unpreempted::begin();
            call(command, &mut attr)
        };
        let last = match answer.map_err(|error| (error.raw_os_error(), error)) {
            Ok(_) => false,
            // The map's end; what came with it counts.
            Err((Some(libc::ENOENT), _)) => true,
            // One bucket holds more than there was room for.
            Err((Some(libc::ENOSPC), _)) => {
                room.double();
                continue;
            }
            Err((_, error)) => return Err(error),
        };
        let (keys, values) = room.first(attr.count as usize);
        each(keys, values);
        if last {
            return Ok(());
        }
        cursor = Some(next);
    }
}

fn call<T>(command: u32, attr: &mut T) -> io::Result<RawFd> {
    // SAFETY: `attr` is one of the structures above, laid out as the kernel
    // expects for `command`; it and what it points to outlive the call, and
    // its size tells the kernel where it ends.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result as RawFd)
}

fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: only called on the answer of a command that makes a descriptor,
    // which nobody else knows yet.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
