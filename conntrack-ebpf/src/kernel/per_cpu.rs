//! Memory of which each CPU has its own copy.

use super::memory::{Read, layout, read};

/// What leads from the address that the kernel has of such memory to this CPU's copy.
///
/// The array that holds the offsets is hidden on many kernels. But a per-CPU array of
/// this object has both addresses: the kernel's in the map (`bpf_array.pptrs`,
/// `include/linux/bpf.h`, 4.6 to 7.3), this CPU's as what a look-up gives. `map` is the
/// map, `first` its first value, looked up on this CPU.
pub fn own_offset(map: u64, first: u64) -> Read<u64> {
    let shared: u64 = read(number(map)?, layout(|it| &it.array_pptrs))?;
    Ok(number(first)?.wrapping_sub(shared))
}

/// A pointer as a number to reckon with, which the verifier does not allow with pointers
/// of some kinds: what is read from the stack by a helper is a plain number.
fn number(pointer: u64) -> Read<u64> {
    read((&raw const pointer) as u64, 0)
}
