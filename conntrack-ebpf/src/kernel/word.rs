//! Words of maps that CPUs share, changed by the atomic instructions that came with 5.12.
//!
//! Older kernels refuse to load them, even where they are never reached. On these kernels
//! user space removes them from the programs. Instructions that return the old value are
//! full barriers (`kernel/bpf/verifier.c` and the compilers in `arch/*/net`).

use core::{arch::asm, cell::UnsafeCell};

use conntrack_ebpf::flow_slots::Word;

/// A word in the value of a map.
#[repr(transparent)]
pub struct SharedWord(UnsafeCell<u64>);

impl Word for SharedWord {
    fn acquire(&self) -> u64 {
        // x86 does not change the order of loads. On other machines only this instruction is
        // certain to keep the order: plain loads that acquire came with 6.15.
        if cfg!(bpf_target_arch = "x86_64") {
            return self.get();
        }
        let mut value = 0_u64;
        // SAFETY: the word is in a map value, valid for this run of the program, and aligned.
        unsafe {
            asm!(
                "{value} = atomic_fetch_or((u64 *)({word} + 0), {value})",
                word = in(reg) self.0.get(),
                value = inout(reg) value,
                options(nostack),
            );
        }
        value
    }

    fn get(&self) -> u64 {
        // SAFETY: as above.
        unsafe { self.0.get().read_volatile() }
    }

    fn set(&self, value: u64) {
        // SAFETY: as above. A program writes after it has claimed the slot, or the last of
        // several writes stays.
        unsafe { self.0.get().write_volatile(value) };
    }

    fn set_high(&self, value: u32) {
        let half = usize::from(cfg!(target_endian = "little"));
        // SAFETY: either half is inside the word.
        let high = unsafe { self.0.get().cast::<u32>().add(half) };
        // SAFETY: as above.
        unsafe { high.write_volatile(value) };
    }

    fn claim(&self, value: u64) -> bool {
        let mut held = 0_u64;
        // SAFETY: as above. The register is the one that the instruction compares with.
        unsafe {
            asm!(
                "r0 = cmpxchg_64({word} + 0, r0, {value})",
                word = in(reg) self.0.get(),
                value = in(reg) value,
                inout("r0") held,
                options(nostack),
            );
        }
        held == 0
    }

    fn publish(&self, value: u64) {
        // SAFETY: as above.
        unsafe {
            asm!(
                "{value} = xchg_64({word} + 0, {value})",
                word = in(reg) self.0.get(),
                value = inout(reg) value => _,
                options(nostack),
            );
        }
    }

    fn add(&self, amount: u64) {
        super::add(self.0.get(), amount);
    }

    fn set_bits(&self, bits: u64) {
        // SAFETY: as above.
        unsafe {
            asm!(
                "lock *(u64 *)({word} + 0) |= {bits}",
                word = in(reg) self.0.get(),
                bits = in(reg) bits,
                options(nostack),
            );
        }
    }
}
