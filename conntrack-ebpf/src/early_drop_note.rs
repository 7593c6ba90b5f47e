//! A call of `early_drop`, noted at its entry for two programs that run later on the same
//! stack: where a victim dies inside of it, and at the end of the allocation that made it.
//!
//! What tells calls apart is where they lie on a stack. The stack of a softirq is not that
//! of the task it interrupts, and a task keeps its own when it is moved to another CPU. So
//! whoever is at a position just above or just below a call belongs to it, whatever else
//! runs. Notes are kept by page of the stack, which both can find. Two stacks can have the
//! same place: then the later note displaces the earlier one, and who misses it knows.

use crate::{early_drops::AllocationKey, judge::Mark};

/// Binary logarithm of [`NOTES`].
const BITS: u32 = 14;

/// How many places there are.
pub const NOTES: u32 = 1 << BITS;

/// Binary logarithm of the bytes of a page of a stack.
const PAGE: u32 = 12;

/// How far the allocation's end can lie above its call of `early_drop`, and the end of a
/// victim below it, in bytes: the frames of two or three functions and of the trampolines
/// between them.
pub(crate) const REACH: u32 = 1024;

/// How long a note is valid, in jiffies: 1 to 10 seconds. Its readers run within
/// microseconds, unless a message to a slow console comes between. If they were skipped, a
/// later call must not use it. All programs are detached only after 10 seconds of calm.
pub const VALID_FOR: u32 = 1000;

/// One call. All zero, as the kernel makes it, is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Note {
    /// [`AllocationKey::net_low`].
    net: u32,
    hash: u32,
    /// Low half of the position on the stack that it was entered at.
    frame: u32,
    /// When, in jiffies.
    at: u32,
    /// [`FREE`], [`SUCCEEDED`], [`COUNTED`], [`CALLED`] or [`EVICTED`].
    state: u32,
}
const _: () = assert!(size_of::<Note>() <= 32);

/// No call.
const FREE: u32 = 0;
/// It is over, and has made room.
const SUCCEEDED: u32 = 1;
/// It is over, and its packet is counted.
const COUNTED: u32 = 2;
/// It is under way, and no victim is known.
const CALLED: u32 = 3;
/// It is under way, and has killed an entry to make room.
const EVICTED: u32 = 4;

/// The place of the notes of a page.
const fn place(page: u32) -> u32 {
    // 2^64 divided by the golden ratio: spreads pages that follow one another. In 64 bits,
    // which the machine of the programs has.
    ((page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS)) as u32
}

/// The place of the note of a call that is entered here.
pub const fn place_of(frame: u32) -> u32 {
    place(frame >> PAGE)
}

/// Where the note can be of a call whose caller is here.
pub const fn places_below(position: u32) -> [u32; 2] {
    [place_of(position), place_of(position.wrapping_sub(REACH))]
}

/// Where the note can be of a call that the function here was called by.
pub const fn places_above(position: u32) -> [u32; 2] {
    [place_of(position), place_of(position.wrapping_add(REACH))]
}

impl Note {
    /// Notes a call. False if that displaces the note of a call on another stack, which may
    /// still be under way. One on the same stack is over, and nobody has seen its end, unless
    /// softirqs have no stack of their own.
    pub const fn enter(&mut self, frame: u32, key: &AllocationKey, now: u32) -> bool {
        let displaces =
            self.is_under_way() && self.frame >> PAGE != frame >> PAGE && self.is_recent(now);
        *self = Self {
            net: key.net_low,
            hash: key.hash,
            frame,
            at: now,
            state: CALLED,
        };
        !displaces
    }

    const fn is_recent(&self, now: u32) -> bool {
        now.wrapping_sub(self.at) < VALID_FOR
    }

    /// Whether the function that ends at this position has made the call.
    const fn was_made_from(&self, position: u32) -> bool {
        self.state != FREE && position.wrapping_sub(self.frame) < REACH
    }

    /// Takes the note of the call that this allocation, which fails here, has made.
    pub const fn take(&mut self, position: u32, key: &AllocationKey, now: u32) -> Option<Mark> {
        let is_its_own = self.was_made_from(position)
            && self.net == key.net_low
            && self.hash == key.hash
            && self.is_recent(now);
        if !is_its_own {
            return None;
        }
        let mark = match self.state {
            EVICTED | SUCCEEDED => Mark::Evicted,
            COUNTED => Mark::Counted,
            _ => Mark::Armed,
        };
        self.state = FREE;
        Some(mark)
    }

    /// The allocation that succeeds here made the call, if any did: it is over.
    pub const fn end(&mut self, position: u32) -> bool {
        let made = self.was_made_from(position);
        if made {
            self.state = FREE;
        }
        made
    }

    /// The call that was entered at this position is over. If it has made no room, whoever
    /// says so counts its packet. False if this is not its note.
    pub const fn leave(&mut self, frame: u32, made_room: bool, now: u32) -> bool {
        let is_its_own = self.is_under_way() && self.frame == frame && self.is_recent(now);
        if is_its_own {
            self.state = if made_room { SUCCEEDED } else { COUNTED };
        }
        is_its_own
    }

    const fn is_under_way(&self) -> bool {
        self.state >= CALLED
    }

    /// Whether the function at this position was called inside of the call.
    pub const fn contains(&self, position: u32, now: u32) -> bool {
        self.is_under_way() && self.frame.wrapping_sub(position) < REACH && self.is_recent(now)
    }

    /// The call has killed an entry to make room.
    pub const fn evict(&mut self) {
        self.state = EVICTED;
    }
}

#[cfg(test)]
mod tests;
