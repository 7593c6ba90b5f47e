//! The maps: everything that outlives one run of a program.
//!
//! All are preallocated, since programs run under the bucket locks of the
//! conntrack table. User space may enlarge them when it loads the object.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf},
    macros::btf_map,
};
use conntrack_ebpf::{Fault, FlowCount, FlowKey, Sender, ServiceKey, TotalCounts, TotalKey};

use crate::{
    join::{Frames, JoinKey, Left},
    programs::Call,
};

/// One slot with a map of one number: the current [`conntrack_ebpf::Epoch`].
///
/// User space replaces the inner map to turn the epoch. The kernel returns
/// from that call only when no program still uses the replaced map
/// (`maybe_wait_bpf_programs` in `kernel/bpf/syscall.c`, 4.16 and later), so
/// what was counted in the old epoch is then complete and at rest.
#[btf_map]
pub static EPOCH: ArrayOfMaps<Array<u32, 1>, 1> = ArrayOfMaps::new();

/// Packets per flow, counted in epoch 0.
#[btf_map]
pub static FLOWS_0: HashMap<FlowKey, FlowCount, 131_072> = HashMap::new();

/// Packets per flow, counted in epoch 1.
#[btf_map]
pub static FLOWS_1: HashMap<FlowKey, FlowCount, 131_072> = HashMap::new();

/// Packets of flows that found no room in [`FLOWS_0`].
#[btf_map]
pub static SERVICES_0: HashMap<ServiceKey, u64, 8192> = HashMap::new();

/// Packets of flows that found no room in [`FLOWS_1`].
#[btf_map]
pub static SERVICES_1: HashMap<ServiceKey, u64, 8192> = HashMap::new();

/// Everything, per namespace and reason.
#[btf_map]
pub static TOTALS: PerCpuHashMap<TotalKey, TotalCounts, 2048> = PerCpuHashMap::new();

/// Totals of namespaces that found no room in [`TOTALS`], by epoch.
#[btf_map]
pub static SPILL: PerCpuArray<TotalCounts, 2> = PerCpuArray::new();

/// Errors inside the programs, by [`Fault`].
#[btf_map]
pub static FAULTS: PerCpuArray<u64, { Fault::COUNT as usize }> = PerCpuArray::new();

/// Processes that sent packets which were refused, by number. LRU: who has not
/// sent for long makes room.
#[btf_map]
pub static SENDERS: LruHashMap<u32, Sender, 8192> = LruHashMap::new();

/// Whether user space wants to be woken by the first sign of pressure.
#[btf_map]
pub static BELL: Array<u32, 1> = Array::new();

/// What wakes it: a record without meaning.
#[btf_map]
pub static PRESSURE: RingBuf<u64, 65_536> = RingBuf::new();

/// Marks left by one program for another about the same packet. Each is taken
/// away when it is read; LRU, so that marks whose reader was skipped cannot
/// fill the map.
#[btf_map]
pub static JOINS: LruHashMap<JoinKey, Left, 16_384> = LruHashMap::new();

/// Calls under way of the functions that kprobes are at, by position on the
/// stack. LRU for the same reason.
#[btf_map]
pub static CALLS: LruHashMap<u64, Call, 16_384> = LruHashMap::new();

/// Calls of `early_drop` under way, by task. LRU for the same reason.
#[btf_map]
pub static EVICTING: LruHashMap<u64, Frames, 8192> = LruHashMap::new();
