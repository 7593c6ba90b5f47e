//! The maps: everything that outlives one run of a program.
//!
//! All are preallocated, since programs run under the bucket locks of the
//! conntrack table. User space may enlarge them when it loads the object.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf},
    macros::btf_map,
};
use conntrack_ebpf::{
    Fault, FlowCount, FlowKey, Sender, ServiceKey, TotalCounts, TotalKey,
    allocation_note::AllocationNote,
    capture::{Budget, CapturedPacket, Omission},
    drop_counter::Accounted,
    early_drop_note::{NOTES, Note},
    early_drops::EarlyDrops,
    flow_slots::{self, Set},
    slots,
};

use crate::{
    kernel::SharedWord,
    notes::{Call, CaptureNote, ClashKey, ClashNote},
};

/// One slot with a map of one number: the current [`conntrack_ebpf::Epoch`].
///
/// User space replaces the inner map to turn the epoch. The kernel returns
/// from that call only when no program still uses the replaced map
/// (`maybe_wait_bpf_programs` in `kernel/bpf/syscall.c`, 4.16 and later), so
/// what was counted in the old epoch is then complete and at rest.
#[btf_map]
pub static EPOCH: ArrayOfMaps<Array<u32, 1>, 1> = ArrayOfMaps::new();

/// `BPF_F_MMAPABLE` (`include/uapi/linux/bpf.h`, 5.5 and later): user space reads the
/// map as memory.
const MAPPED: usize = 1 << 10;

/// A set of slots. It is a structure because `aya-obj` (0.3.0) mistakes an array of arrays
/// for one of its elements.
#[repr(transparent)]
pub struct SlotSet(pub Set<SharedWord>);

/// Packets per flow, counted in epoch 0, by set ([`flow_slots`]). Not used if user space has
/// not switched it on.
#[btf_map]
pub static SLOTS_0: Array<SlotSet, { flow_slots::SETS }, MAPPED> = Array::new();

/// Packets per flow, counted in epoch 1, by set.
#[btf_map]
pub static SLOTS_1: Array<SlotSet, { flow_slots::SETS }, MAPPED> = Array::new();

/// A bit for each set of [`SLOTS_0`] that is used.
#[btf_map]
pub static USED_0: Array<SharedWord, { flow_slots::USED_WORDS }, MAPPED> = Array::new();

/// A bit for each set of [`SLOTS_1`] that is used.
#[btf_map]
pub static USED_1: Array<SharedWord, { flow_slots::USED_WORDS }, MAPPED> = Array::new();

/// Packets per flow that have no slot, counted in epoch 0.
#[btf_map]
pub static FLOWS_0: HashMap<FlowKey, FlowCount, 131_072> = HashMap::new();

/// Packets per flow that have no slot, counted in epoch 1.
#[btf_map]
pub static FLOWS_1: HashMap<FlowKey, FlowCount, 131_072> = HashMap::new();

/// Packets of flows that found no room in [`FLOWS_0`].
#[btf_map]
pub static SERVICES_0: HashMap<ServiceKey, u64, 8192> = HashMap::new();

/// Packets of flows that found no room in [`FLOWS_1`].
#[btf_map]
pub static SERVICES_1: HashMap<ServiceKey, u64, 8192> = HashMap::new();

/// All packets that have no slot, per namespace and reason.
#[btf_map]
pub static TOTALS: PerCpuHashMap<TotalKey, TotalCounts, 2048> = PerCpuHashMap::new();

/// Totals of namespaces that found no room in [`TOTALS`], by epoch.
#[btf_map]
pub static SPILL: PerCpuArray<TotalCounts, 2> = PerCpuArray::new();

/// Errors inside the programs, by [`Fault`].
#[btf_map]
pub static FAULTS: PerCpuArray<u64, { Fault::COUNT as usize }> = PerCpuArray::new();

/// Up to which value of its `drop` counter on this CPU the packets of a namespace are
/// accounted for, by inode. User space begins it with what it has read, the program
/// with what it finds.
#[btf_map]
pub static ACCOUNTED: PerCpuHashMap<u32, Accounted, 2048> = PerCpuHashMap::new();

/// What leads from the kernel's address of per-CPU memory to this CPU's copy, or 0 if
/// that is not known yet ([`own_offset`](crate::kernel::own_offset)).
#[btf_map]
pub static OWN_OFFSET: PerCpuArray<u64, 1> = PerCpuArray::new();

/// Processes that sent packets which were refused, by number. LRU: who has not
/// sent for long makes room.
#[btf_map]
pub static SENDERS: LruHashMap<u32, Sender, 8192> = LruHashMap::new();

/// 1 if user space wants to be woken at the next sign of pressure. The program that
/// wakes it sets 0.
#[btf_map]
pub static WAKE_REQUEST: Array<u32, 1> = Array::new();

/// Wakes user space: a record without content.
#[btf_map]
pub static PRESSURE: RingBuf<u64, 65_536> = RingBuf::new();

/// Sets of slots in each of the following maps, a power of two.
pub const SETS: u32 = 4096;

/// Notes of calls of `early_drop`, made at their entry while armed, by page of the stack.
#[btf_map]
pub static EARLY_DROP_NOTES: Array<Note, { NOTES as usize }> = Array::new();

/// Notes of allocations, made at their entry, by page of the stack. Only the backend `kprobe`
/// uses them.
#[btf_map]
pub static ALLOCATION_NOTES: Array<AllocationNote, { NOTES as usize }> = Array::new();

/// Calls of `early_drop` under way, and marks of those that found no victim, by
/// task. Used while the fexit programs at its exit are attached, and with kprobes while not
/// armed.
#[btf_map]
pub static EARLY_DROPS: Array<slots::Set<EarlyDrops>, { SETS as usize }> = Array::new();

/// Calls under way of the other functions that kprobes are at, by position on the
/// stack.
#[btf_map]
pub static CALLS: Array<slots::Set<Call>, { SETS as usize }> = Array::new();

/// Clashes that were counted, for a later program. LRU, so that those whose reader
/// was skipped cannot fill the map.
#[btf_map]
pub static CLASHES: LruHashMap<ClashKey, ClashNote, 4096> = LruHashMap::new();

/// Since when refused confirmations are counted, in nanoseconds of `CLOCK_MONOTONIC`; 0 while
/// they are not. Each packet that is in conntrack when user space sets this came into it
/// after that time.
#[btf_map]
pub static CONFIRMING_SINCE: Array<u64, 1> = Array::new();

/// Packets that were copied. If user space wants copies, it sets the size of this map and
/// of the next two; otherwise no program uses them.
#[btf_map]
pub static CAPTURED: RingBuf<CapturedPacket, 4096> = RingBuf::new();

/// How many packets of a flow were refused since the programs were loaded. LRU: if it is
/// full, it forgets a flow of which no packet was refused for a long time.
#[btf_map]
pub static CAPTURE_FLOWS: LruHashMap<FlowKey, u64, 1> = LruHashMap::new();

/// Packets to be copied when they are freed, by the task that was refused. LRU, so that
/// packets that another task frees cannot fill the map.
#[btf_map]
pub static CAPTURE_NOTES: LruHashMap<u64, CaptureNote, 1> = LruHashMap::new();

/// Bounds how many packets are copied.
#[btf_map]
pub static CAPTURE_BUDGET: Array<Budget, 1> = Array::new();

/// Packets that were not copied, by [`Omission`].
#[btf_map]
pub static OMITTED: PerCpuArray<u64, { Omission::COUNT as usize }> = PerCpuArray::new();
