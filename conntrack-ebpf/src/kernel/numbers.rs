//! Time, and parts of numbers.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// Low half of the kernel's clock of ticks. It takes far less time to read than [`now`], and
/// has 100 to 1000 ticks a second.
pub fn jiffies() -> u32 {
    // SAFETY: the helper has no preconditions.
    low(unsafe { bpf_jiffies64() })
}

/// The low half of an address, as a number to reckon with.
///
/// The verifier allows no arithmetic on pointers of some kinds, but it takes
/// their 32-bit copy for a plain number (`check_alu_op` in
/// `kernel/bpf/verifier.c`, 4.9 to 7.3). The compiler would copy by shifting, so
/// the instruction is spelled out: `w2 = w2`.
#[cfg(target_arch = "bpf")]
pub(super) fn low_of_address(address: u64) -> u32 {
    let number: u64;
    // SAFETY: the instruction touches no memory.
    unsafe {
        core::arch::asm!(
            ".byte 0xbc, 0x22, 0, 0, 0, 0, 0, 0",
            inout("r2") address => number,
            options(pure, nomem, nostack),
        );
    }
    low(number)
}

/// The same on the host, where the programs are only checked.
#[cfg(not(target_arch = "bpf"))]
pub(super) fn low_of_address(address: u64) -> u32 {
    low(address)
}

/// The low half of a number.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub const fn low(number: u64) -> u32 {
    number as u32
}

/// The high half of a number.
pub const fn high(number: u64) -> u32 {
    low(number >> 32)
}
