//! The arguments of an allocation. A program at its entry notes them. Two programs that run
//! later on the same stack do not have the arguments and read the note: one at the exit of
//! the `early_drop` that the allocation may call, and one at the exit of the allocation.
//!
//! They find the note by the position on the stack, like the notes of
//! [`early_drop_note`](crate::early_drop_note).

use crate::{
    early_drop_note::{REACH, VALID_FOR},
    early_drops::AllocationKey,
};

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
    /// Takes the note if it is of this allocation, which called the function that was entered
    /// at this position. Whoever takes it counts the packet.
    pub const fn take(&mut self, position: u32, key: &AllocationKey, now: u32) -> Option<Self> {
        let is_its_own = self.frame.wrapping_sub(position) < REACH
            && self.net == key.net
            && self.hash == key.hash
            && self.is_recent(now);
        if is_its_own { Some(self.end()) } else { None }
    }

    /// Takes the note if it is of the allocation that was entered at this position. Nobody has
    /// counted its packet.
    pub const fn take_at(&mut self, position: u32, now: u32) -> Option<Self> {
        if self.frame == position && self.is_recent(now) {
            Some(self.end())
        } else {
            None
        }
    }

    const fn end(&mut self) -> Self {
        let note = *self;
        self.net = 0;
        note
    }

    const fn is_recent(&self, now: u32) -> bool {
        self.net != 0 && now.wrapping_sub(self.at) < VALID_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::early_drop_note::{NOTES, place_of, places_above};

    const NET: u64 = 0xffff_8880_1234_5600;

    /// How far below the entry of an allocation its call of `early_drop` is.
    const BELOW: u32 = 144;

    const fn key(hash: u32) -> AllocationKey {
        AllocationKey {
            net: NET,
            net_low: 0x1234_5600,
            hash,
        }
    }

    /// All notes, as the programs use them.
    struct Notes {
        places: Vec<AllocationNote>,
        now: u32,
    }

    impl Notes {
        fn new() -> Self {
            Self {
                places: vec![AllocationNote::default(); NOTES as usize],
                now: u32::MAX,
            }
        }

        fn enter(&mut self, frame: u32, hash: u32) {
            self.places[place_of(frame) as usize] = AllocationNote {
                net: NET,
                zone: 1,
                orig: 2,
                hash,
                frame,
                at: self.now,
                padding: 0,
            };
        }

        /// The hash of the allocation that is taken where `early_drop` returns which the
        /// allocation at this frame has called.
        fn take(&mut self, frame: u32, hash: u32) -> Option<u32> {
            let (position, now) = (frame.wrapping_sub(BELOW), self.now);
            let [place, other] = places_above(position).map(|place| place as usize);
            self.places[place]
                .take(position, &key(hash), now)
                .or_else(|| self.places[other].take(position, &key(hash), now))
                .map(|note| note.hash)
        }

        fn take_at(&mut self, frame: u32) -> Option<u32> {
            let note = &mut self.places[place_of(frame) as usize];
            note.take_at(frame, self.now).map(|note| note.hash)
        }
    }

    /// At whatever place in a page of the stack, which the two positions may lie astride of.
    #[test]
    fn an_allocation_is_found_whatever_was_allocated_on_the_stack_before() {
        for at in (0..4096).step_by(8) {
            let frame = 0x0001_3000 + at;
            for deeper in (0..512).step_by(8) {
                let mut notes = Notes::new();
                // It succeeded, so nobody has taken its note.
                notes.enter(frame - deeper, 7);
                notes.enter(frame, 8);
                assert_eq!(notes.take(frame, 8), Some(8), "{frame:x}, {deeper}");
                assert_eq!(notes.take(frame, 8), None, "it is taken");
            }
        }
    }

    #[test]
    fn the_note_of_another_allocation_is_not_taken() {
        let frame = 0x0001_3d00;
        let mut notes = Notes::new();
        notes.enter(frame, 7);
        assert_eq!(notes.take(frame, 8), None, "of another flow");
        assert_eq!(notes.take(frame + 2048, 7), None, "less deep");
        assert_eq!(notes.take(frame - 2048, 7), None, "deeper");
        assert_eq!(notes.take(frame + 0x8000_0000, 7), None, "on another stack");
        notes.now = notes.now.wrapping_add(VALID_FOR);
        assert_eq!(notes.take(frame, 7), None, "long ago");
        assert_eq!(notes.take_at(frame), None, "long ago");
    }

    #[test]
    fn one_of_two_programs_takes_it() {
        let frame = 0x0001_3d00;
        let mut notes = Notes::new();
        notes.enter(frame, 7);
        assert_eq!(notes.take(frame, 7), Some(7));
        assert_eq!(notes.take_at(frame), None);
        notes.enter(frame, 7);
        assert_eq!(notes.take_at(frame), Some(7));
        assert_eq!(notes.take(frame, 7), None);
    }

    #[test]
    fn memory_that_was_never_written_is_no_note() {
        let mut notes = Notes::new();
        notes.now = 0;
        assert_eq!(notes.take(BELOW, 0), None);
        assert_eq!(notes.take_at(0), None);
    }
}
