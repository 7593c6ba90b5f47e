//! Finds this CPU's copy of per-CPU memory.

use crate::{
    kernel::{self, Read, Unreadable},
    maps,
};

/// The offset from the kernel's address of per-CPU memory to this CPU's copy. It is found once
/// on each CPU.
pub fn offset() -> Read<u64> {
    let offset = maps::OWN_OFFSET.get_ptr_mut(0).ok_or(Unreadable)?;
    let known = kernel::peek(offset);
    if known == 0 { find(offset) } else { Ok(known) }
}

/// This is a separate function because it runs only once on each CPU.
#[inline(never)]
fn find(offset: *mut u64) -> Read<u64> {
    let map = &raw const maps::OWN_OFFSET as u64;
    let found = kernel::own_offset(map, offset as u64)?;
    kernel::update(offset, |offset| *offset = found);
    Ok(found)
}
