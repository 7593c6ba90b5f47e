//! The arguments of an allocation. A program at its entry notes them. Two programs that run
//! later on the same stack do not have the arguments and read the note: one at the exit of
//! the `early_drop` that the allocation may call, and one at the exit of the allocation.
//!
//! They find the note by the position on the stack, like the notes of
//! [`early_drop_note`](crate::early_drop_note).

use crate::early_drop_note::{REACH, VALID_FOR};

/// One allocation. If all is zero, as the kernel makes it, there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AllocationNote {
    /// Address of the namespace.
    pub net: u64,
    /// Address of the zone.
    pub zone: u64,
    /// Address of the tuple.
    pub orig: u64,
    /// The tuple's hash.
    pub hash: u32,
    /// Low half of the position on the stack at its entry.
    pub frame: u32,
    /// When, in jiffies.
    pub at: u32,
    /// Unused: it makes the size a multiple of eight.
    pub padding: u32,
}
const _: () = assert!(size_of::<AllocationNote>() == 40);

impl AllocationNote {
    /// Whether it called the function that was entered at this position.
    pub const fn contains(&self, position: u32, now: u32) -> bool {
        self.frame.wrapping_sub(position) < REACH && self.is_recent(now)
    }

    /// Whether it was entered at this position.
    pub const fn is_at(&self, position: u32, now: u32) -> bool {
        self.frame == position && self.is_recent(now)
    }

    const fn is_recent(&self, now: u32) -> bool {
        self.net != 0 && now.wrapping_sub(self.at) < VALID_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: AllocationNote = AllocationNote {
        net: 0xffff_8880_1234_5600,
        zone: 1,
        orig: 2,
        hash: 3,
        frame: 0x0001_3d00,
        at: u32::MAX,
        padding: 0,
    };

    #[test]
    fn what_is_called_lies_a_little_below() {
        let contains = |position| NOTE.contains(position, 5);
        assert!(contains(NOTE.frame - 8) && contains(NOTE.frame - 200));
        assert!(!contains(NOTE.frame + 8), "that was called before");
        assert!(
            !contains(NOTE.frame - 2048),
            "that was called by something else"
        );
        assert!(!contains(NOTE.frame + 0x8000_0000), "that is another stack");
    }

    #[test]
    fn a_note_ends_when_its_time_is_over() {
        assert!(NOTE.is_at(NOTE.frame, VALID_FOR - 2));
        assert!(!NOTE.is_at(NOTE.frame, VALID_FOR));
        assert!(!NOTE.contains(NOTE.frame - 200, VALID_FOR));
    }

    #[test]
    fn memory_that_was_never_written_is_no_note() {
        assert!(!AllocationNote::default().contains(0, 0));
        assert!(!AllocationNote::default().is_at(0, 0));
    }
}
