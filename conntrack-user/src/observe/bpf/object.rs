//! The embedded eBPF object: maps made by aya, programs made ready to load.
//!
//! aya's own loader cannot attach to a function inside a module, which is
//! where every distribution keeps conntrack. So aya creates the maps, and the
//! programs are taken from a second reading of the same object, with these
//! maps put in.

use std::{
    borrow::Cow,
    collections::HashSet,
    ffi::CString,
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
};

use anyhow::{Context as _, Result, bail};
use aya::{
    EbpfError, EbpfLoader,
    maps::{Map, MapError},
    programs::KProbe,
};
use aya_obj::generated::bpf_insn;
use conntrack_ebpf::{
    Layout,
    capture::{self, CaptureOrder},
    flow_slots::{self, SEEDS},
};
use rustix::{
    process::{Resource, Rlimit, setrlimit},
    rand::{GetRandomFlags, getrandom},
};

use crate::observe::bpf::atomics;

/// The object, aligned as ELF requires.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/conntrack"));

/// Bytes of the ring buffer for copies of packets. It has room for more than
/// [`PER_SECOND`](crate::observe::capture::PER_SECOND) packets between two drains.
const CAPTURE_ROOM: u32 = 1 << 20;

/// At most so many flows have their packets numbered.
const CAPTURE_FLOWS: u32 = 65_536;

/// At most so many refused packets that are not freed yet. The kernel gives each CPU many entries
/// of an LRU map at once, so this is more than can be in use.
const CAPTURE_NOTES: u32 = 16_384;

/// The maps, and the programs that use them.
pub struct Object {
    maps: aya::Ebpf,
    programs: aya_obj::Object,
    has_slots: bool,
}

impl Object {
    /// Creates the maps, with room for `flows` flows in each epoch, and
    /// relocates the programs onto them. They copy packets if there is an order.
    ///
    /// If the kernel allows it, the flows are in a table of slots, whose size is fixed. The
    /// hash maps then have room for a quarter of `flows`: it is unlikely that more flows find
    /// no slot.
    pub fn load(layout: &Layout, flows: u32, capture: Option<&CaptureOrder>) -> Result<Self> {
        lift_memory_limit();
        let has_slots = atomics::are_known();
        let object = if has_slots {
            Cow::Borrowed(OBJECT)
        } else {
            Cow::Owned(atomics::removed(OBJECT)?)
        };
        let seed = seed()?;
        let outside = if has_slots { flows / 4 } else { flows };
        #[cfg_attr(
            not(feature = "debug-log"),
            expect(unused_mut, reason = "the log takes its map out")
        )]
        let mut maps = {
            let mut loader = EbpfLoader::new();
            loader
                .btf(None)
                .override_global("LAYOUT", layout, true)
                .map_max_entries("FLOWS_0", outside)
                .map_max_entries("FLOWS_1", outside);
            if has_slots {
                loader
                    .override_global("FLOW_SLOTS", &flow_slots::ON, true)
                    .override_global("FLOW_SEED", &seed, true);
            } else {
                loader
                    .map_max_entries("SLOTS_0", 1)
                    .map_max_entries("SLOTS_1", 1);
            }
            if let Some(order) = capture {
                loader
                    .override_global("CAPTURE_WANTED", &capture::ON, true)
                    .override_global("CAPTURE_ORDER", order, true)
                    .map_max_entries("CAPTURED", CAPTURE_ROOM)
                    .map_max_entries("CAPTURE_FLOWS", CAPTURE_FLOWS)
                    .map_max_entries("CAPTURE_NOTES", CAPTURE_NOTES);
            }
            loader.load(&object).map_err(of_the_kernel)?
        };
        let mut programs = aya_obj::Object::parse(&object).context("the embedded eBPF object")?;
        let definitions = std::mem::take(&mut programs.maps);
        let placed = definitions
            .iter()
            .map(|(name, definition)| Ok((name.as_str(), descriptor(&maps, name)?, definition)))
            .collect::<Result<Vec<_>>>()?;
        let sections: HashSet<usize> = programs
            .functions
            .keys()
            .map(|&(section, _)| section)
            .collect();
        programs
            .relocate_maps(placed.into_iter(), &sections)
            .context("the embedded eBPF object: maps")?;
        programs
            .relocate_calls(&sections)
            .context("the embedded eBPF object: calls")?;
        #[cfg(feature = "debug-log")]
        crate::observe::bpf::debug_log::show(&mut maps)?;
        Ok(Self {
            maps,
            programs,
            has_slots,
        })
    }

    /// Whether flows have slots.
    pub const fn has_slots(&self) -> bool {
        self.has_slots
    }

    /// The instructions of a program, ready to load.
    pub fn program(&self, name: &str) -> Result<(&[bpf_insn], CString)> {
        let program = self
            .programs
            .programs
            .get(name)
            .with_context(|| format!("the embedded eBPF object has no program {name}"))?;
        let function = self
            .programs
            .functions
            .get(&program.function_key())
            .with_context(|| format!("the embedded eBPF object has no code for {name}"))?;
        Ok((&function.instructions, program.license.clone()))
    }

    /// A program as aya has it.
    pub fn kprobe(&mut self, name: &str) -> Result<&mut KProbe> {
        self.maps
            .program_mut(name)
            .with_context(|| format!("the embedded eBPF object has no program {name}"))?
            .try_into()
            .with_context(|| format!("program {name} of the embedded eBPF object"))
    }

    /// The descriptor of a map, open as long as this lives.
    pub fn map(&self, name: &str) -> Result<RawFd> {
        descriptor(&self.maps, name)
    }

    /// Takes a map out, to be used through aya.
    pub fn take(&mut self, name: &str) -> Result<Map> {
        self.maps
            .take_map(name)
            .with_context(|| format!("the embedded eBPF object has no map {name}"))
    }
}

/// Random numbers that nobody can predict.
fn seed() -> Result<[u64; SEEDS]> {
    let mut seed = [[0; 8]; SEEDS];
    // getrandom(2) always returns all bytes if there are so few.
    getrandom(seed.as_flattened_mut(), GetRandomFlags::empty())
        .context("cannot get random bytes")?;
    Ok(seed.map(u64::from_ne_bytes))
}

/// Before 5.11 maps are charged to the locked memory of a process, of which it
/// may have 64 KiB. Where it cannot be lifted, creating the maps says so.
fn lift_memory_limit() {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    let _ = setrlimit(Resource::Memlock, unlimited);
}

fn descriptor(maps: &aya::Ebpf, name: &str) -> Result<RawFd> {
    let map = maps
        .map(name)
        .with_context(|| format!("the embedded eBPF object has no map {name}"))?;
    match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::RingBuf(data) => Ok(data.fd().as_fd().as_raw_fd()),
        _ => bail!("map {name} of the embedded eBPF object is of a kind ctdrop does not use"),
    }
}

/// What the kernel answered, without which map it was for: the first of several, in
/// no certain order.
fn of_the_kernel(error: EbpfError) -> anyhow::Error {
    match error {
        EbpfError::MapError(MapError::CreateError { io_error, .. }) => io_error.into(),
        error => error.into(),
    }
}
