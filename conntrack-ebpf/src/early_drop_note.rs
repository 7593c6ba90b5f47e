//! Notes of calls of `early_drop`. A program at the entry of `early_drop` writes the note.
//! Programs that run later on the same stack read it: where a victim dies inside the call,
//! and at the exit of the allocation that made the call.
//!
//! A call is identified by its position on a stack. A softirq does not run on the stack of
//! the task that it interrupts, and a task keeps its stack when it moves to another CPU. So a
//! function at a position just above or just below a call belongs to that call, whatever
//! else runs. The page of the stack gives the index of the note, and both programs can
//! compute it. Two stacks can have the same index. Then the later note overwrites the earlier
//! one, and the program that looks for the earlier one sees that it is gone.

use crate::{early_drops::AllocationKey, judge::Mark};

/// Binary logarithm of [`NOTES`].
const BITS: u32 = 14;

/// The number of notes.
pub const NOTES: u32 = 1 << BITS;

/// Binary logarithm of the bytes of a page of a stack.
const PAGE: u32 = 12;

/// The largest distance on the stack, in bytes, from a call of `early_drop` up to the exit of
/// its allocation, and down to the function that kills a victim: the frames of two or three
/// functions, and of the trampolines between them.
pub(crate) const REACH: u32 = 1024;

/// How long a note is valid, in jiffies: 1 to 10 seconds. Its readers run within
/// microseconds, unless the kernel first writes a message to a slow console. If the readers
/// were skipped, a later call must not use the note. All programs are detached only after 10
/// seconds of calm.
pub const VALID_FOR: u32 = 1000;

/// One call. If all is zero, as the kernel makes it, there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Note {
    /// [`AllocationKey::net`].
    net: u64,
    hash: u32,
    /// Low half of the position on the stack at its entry.
    frame: u32,
    /// When, in jiffies.
    at: u32,
    /// [`FREE`], [`SUCCEEDED`], [`CALLED`] or [`EVICTED`].
    state: u32,
}
const _: () = assert!(size_of::<Note>() <= 32);

// In this order: from `CALLED` on, the call is under way.

/// No call.
const FREE: u32 = 0;
/// It is over, and has made room.
const SUCCEEDED: u32 = 1;
/// It is under way, and no victim is known.
const CALLED: u32 = 2;
/// It is under way, and has killed an entry to make room.
const EVICTED: u32 = 3;

/// The index of the note of a page.
const fn place(page: u32) -> u32 {
    // 2^64 divided by the golden ratio: this spreads pages that follow one another. The
    // product has 64 bits, like the registers of eBPF.
    ((page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS)) as u32
}

/// The index of the note of a call that is entered at this position.
pub const fn place_of(frame: u32) -> u32 {
    place(frame >> PAGE)
}

/// The indices at which the note of a call can be whose caller is at this position.
pub const fn places_below(position: u32) -> [u32; 2] {
    [place_of(position), place_of(position.wrapping_sub(REACH))]
}

/// The indices at which the note of a call can be that called the function at this position.
pub const fn places_above(position: u32) -> [u32; 2] {
    [place_of(position), place_of(position.wrapping_add(REACH))]
}

impl Note {
    /// Notes a call. False if this overwrites the note of a call on another stack that may
    /// still be under way. A noted call on the same stack is over, and no program saw its
    /// exit, unless softirqs have no stack of their own.
    pub const fn enter(&mut self, frame: u32, key: &AllocationKey, now: u32) -> bool {
        let displaces =
            self.is_under_way() && self.frame >> PAGE != frame >> PAGE && self.is_recent(now);
        *self = Self {
            net: key.net,
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

    /// Whether the function that returns at this position made the call.
    const fn was_made_from(&self, position: u32) -> bool {
        self.state != FREE && position.wrapping_sub(self.frame) < REACH
    }

    /// Takes the note of the call if the allocation that fails at this position made it.
    pub const fn take(&mut self, position: u32, key: &AllocationKey, now: u32) -> Option<Mark> {
        let is_its_own = self.was_made_from(position)
            && self.net_low() == key.net_low
            && self.hash == key.hash
            && self.is_recent(now);
        if !is_its_own {
            return None;
        }
        let mark = match self.state {
            EVICTED | SUCCEEDED => Mark::Evicted,
            _ => Mark::Armed,
        };
        self.state = FREE;
        Some(mark)
    }

    /// Ends the note if the allocation that succeeds at this position made the call.
    pub const fn end(&mut self, position: u32) -> bool {
        let made = self.was_made_from(position);
        if made {
            self.state = FREE;
        }
        made
    }

    /// Ends the note of the call that was entered at this position, and gives the allocation
    /// that made it. If it has made no room, the program that calls this counts the packet.
    /// None if this is not its note.
    pub const fn leave(&mut self, frame: u32, made_room: bool, now: u32) -> Option<AllocationKey> {
        if !(self.is_under_way() && self.frame == frame && self.is_recent(now)) {
            return None;
        }
        self.state = if made_room { SUCCEEDED } else { FREE };
        Some(AllocationKey {
            net: self.net,
            net_low: self.net_low(),
            hash: self.hash,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "it is half of it")]
    const fn net_low(&self) -> u32 {
        self.net as u32
    }

    const fn is_under_way(&self) -> bool {
        self.state >= CALLED
    }

    /// Whether the function at this position was called inside the call.
    pub const fn contains(&self, position: u32, now: u32) -> bool {
        self.is_under_way() && self.frame.wrapping_sub(position) < REACH && self.is_recent(now)
    }

    /// Notes that the call has killed an entry to make room.
    pub const fn evict(&mut self) {
        self.state = EVICTED;
    }
}

#[cfg(test)]
mod tests;
