//! The values of maps, changed in place.

use core::cell::UnsafeCell;

use conntrack_ebpf::{FlowCount, TOTAL_SLOTS, TotalCounts};

/// Adds to a counter in a map. Atomic even in per-CPU maps: a softirq can come
/// between the read and the write of a task on the same CPU.
#[cfg(target_arch = "bpf")]
pub fn add(slot: *mut u64, amount: u64) {
    // SAFETY: `slot` is a map value just looked up: valid for this run of the
    // program, aligned to 8, and only ever changed by this instruction. It is
    // `BPF_ATOMIC | BPF_ADD` without `BPF_FETCH`, which every kernel knows.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({slot} + 0) += {amount}",
            slot = in(reg) slot,
            amount = in(reg) amount,
            options(nostack, preserves_flags),
        );
    }
}

/// The same on the host, where the programs are only checked.
#[cfg(not(target_arch = "bpf"))]
pub fn add(slot: *mut u64, amount: u64) {
    // SAFETY: as for the target.
    let counter = unsafe { core::sync::atomic::AtomicU64::from_ptr(slot) };
    counter.fetch_add(amount, core::sync::atomic::Ordering::Relaxed);
}

/// Adds one to a slot of the totals.
pub fn add_to_slot(counts: *mut TotalCounts, slot: u32) {
    let slot = slot as usize;
    if slot < TOTAL_SLOTS {
        // SAFETY: `counts` is a map value just looked up: valid for this run; the
        // slot is inside the array.
        add(unsafe { &raw mut (*counts).slots[slot] }, 1);
    }
}

/// Adds one packet at `now` to a flow's entry.
pub fn add_to_flow(count: *mut FlowCount, now: u64) {
    // SAFETY: `count` is a map value just looked up: valid for this run.
    add(unsafe { &raw mut (*count).packets }, 1);
    // SAFETY: as above.
    let last = unsafe { &raw mut (*count).last };
    // SAFETY: as above; the latest of several concurrent writers stays.
    unsafe { last.write_volatile(now) };
}

/// Sets a number in a map; the last of several writers stays.
pub fn store(slot: *mut u32, number: u32) {
    // SAFETY: `slot` is a map value just looked up: valid for this run of the
    // program, aligned to 8.
    unsafe { slot.write_volatile(number) };
}

/// Adds to the owner of a slot: see [`conntrack_ebpf::slots`].
pub fn add_to_owner(owner: &mut u64, amount: u64) {
    add(owner, amount);
}

/// Changes a map value that only the current task's stack of interrupts
/// touches, or that says itself whose it is.
pub fn update<T, R>(value: *mut T, change: impl FnOnce(&mut T) -> R) -> R {
    // SAFETY: `value` is a map value just looked up: valid for this run. Only
    // programs nested on this CPU use the same part of it, and they put back
    // what they found.
    change(unsafe { &mut *value })
}

/// Copies such a value.
pub fn peek<T: Copy>(value: *mut T) -> T {
    // SAFETY: as in `update`.
    unsafe { *value }
}

/// A number that all programs share. Reading it takes fewer instructions than reading a map.
pub struct Shared(UnsafeCell<u32>);

// SAFETY: it is only read and written as a whole, by single instructions.
unsafe impl Sync for Shared {}

impl Shared {
    /// This number, until a program writes another.
    pub const fn new(number: u32) -> Self {
        Self(UnsafeCell::new(number))
    }

    /// Reads it.
    pub fn load(&self) -> u32 {
        // SAFETY: it points to the number in `self`; see above.
        unsafe { self.0.get().read_volatile() }
    }

    /// Writes it. The last of several writes stays.
    pub fn store(&self, number: u32) {
        // SAFETY: as in `load`.
        unsafe { self.0.get().write_volatile(number) };
    }
}
