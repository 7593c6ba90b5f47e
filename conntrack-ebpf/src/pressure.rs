//! Tells user space that there is pressure.

use crate::{kernel, maps};

/// Wakes user space, if it has asked to be woken at the next sign of pressure.
pub fn signal() {
    if let Some(requested) = maps::WAKE_REQUEST.get_ptr_mut(0)
        && kernel::peek(requested) != 0
    {
        kernel::store(requested, 0);
        // Fails if the ring is full: then user space is woken already.
        let _ = maps::PRESSURE.output(1_u64, 0);
    }
}
