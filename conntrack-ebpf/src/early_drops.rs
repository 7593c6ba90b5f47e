//! Calls of `early_drop` on behalf of one task, and what came of them.
//!
//! An allocation that the table has no room for calls `early_drop`, and is
//! refused if that finds no victim. Programs at both ends of `early_drop` and
//! one at the end of the allocation tell one another here: the namespace and
//! the hash that both functions are called with say which call it is, since a
//! softirq can interrupt a task in the middle of one and begin another.

use crate::judge::Mark;

/// Calls that one task can have at a time: its own, and one of a softirq that
/// interrupted it. No further nesting exists.
const NESTED: usize = 2;

/// How far below the position of `early_drop` that of a function it calls can
/// lie, in bytes. A softirq runs on a stack of its own, megabytes away.
const CALLS_WITHIN: u32 = 4096;

/// The size of a stack, in bytes, or less.
const STACK: u32 = 8192;

/// One of two programs that see the same call and leave the same mark, in
/// whichever order. The kernel skips one if the softirq whose packet this is
/// has interrupted it on this CPU; it never skips both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Witness {
    /// One of them.
    One = 1,
    /// The other.
    Other = 2,
}

/// What became of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It is left.
    First,
    /// The other witness has left this one before for the same call; it stays
    /// until somebody takes it.
    Second(Mark),
}

/// Identifies an allocation: what both it and `early_drop` are called with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocationKey {
    /// Address of the namespace.
    pub net: u64,
    /// Its low half: the verifier allows no arithmetic on the whole where that is a
    /// pointer.
    pub net_low: u32,
    /// The tuple's hash.
    pub hash: u32,
}

/// One call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
struct Call {
    net: u64,
    hash: u32,
    /// Low half of the position on the stack that it was entered at.
    frame: u32,
    state: u32,
    padding: u32,
}

/// Values of [`Call::state`]; [`MARKED`] carries the mark and who has to come yet.
const FREE: u32 = 0;
const INSIDE: u32 = 1;
const MARKED: u32 = 2;

/// The state of a call that found no victim.
const fn marked(mark: Mark, unseen: u32) -> u32 {
    MARKED | (mark as u32) << 8 | unseen << 16
}

impl Call {
    const fn is_marked(&self) -> bool {
        self.state & MARKED != 0
    }

    const fn mark(&self) -> Mark {
        match self.state >> 8 & 0xff {
            0 => Mark::Armed,
            1 => Mark::AtRest,
            _ => Mark::Counted,
        }
    }

    /// The witness whose mark the other has not seen yet, or 0.
    const fn unseen(&self) -> u32 {
        self.state >> 16
    }

    #[expect(clippy::cast_possible_truncation, reason = "it is half of it")]
    const fn net_low(&self) -> u32 {
        self.net as u32
    }

    const fn is_of(&self, key: &AllocationKey) -> bool {
        self.net_low() == key.net_low && self.hash == key.hash
    }

    /// Whether it was made on the stack that `frame` is on.
    const fn is_on_stack_of(&self, frame: u32) -> bool {
        frame.wrapping_sub(self.frame).wrapping_add(STACK) < 2 * STACK
    }

    /// Whether whoever is now at `frame` shows that this call is long over: the
    /// stack has no more room for it.
    const fn is_over(&self, frame: u32) -> bool {
        frame.wrapping_sub(self.frame) < STACK
    }

    /// What is lost if a new call at `frame` takes its place: 0 is nothing, and the
    /// lower the better. At rest nobody takes marks. A call that was made on the same
    /// stack is over, unless softirqs have no stack of their own.
    const fn loss(&self, frame: u32) -> u32 {
        if self.state == FREE || self.is_over(frame) {
            0
        } else if self.is_marked() && matches!(self.mark(), Mark::AtRest) {
            1
        } else if self.is_on_stack_of(frame) {
            2
        } else if self.is_marked() {
            3
        } else {
            4
        }
    }
}

/// The calls of one task. All zero, as the kernel makes it, are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EarlyDrops {
    calls: [Call; NESTED],
}

impl EarlyDrops {
    /// Whether there is no call, so that nothing need be kept.
    pub fn are_none(&self) -> bool {
        self.calls.iter().all(|call| call.state == FREE)
    }

    /// Notes that a call begins. There is room for as many as there can be: if none
    /// is left, the end of one has been skipped, and the likeliest makes room.
    pub fn enter(&mut self, frame: u32, key: &AllocationKey) {
        self.begin(frame, key, INSIDE);
    }

    fn begin(&mut self, frame: u32, key: &AllocationKey, state: u32) {
        let [one, other] = &mut self.calls;
        let call = if one.loss(frame) <= other.loss(frame) {
            one
        } else {
            other
        };
        *call = Call {
            net: key.net,
            hash: key.hash,
            frame,
            state,
            padding: 0,
        };
    }

    fn at(&mut self, frame: u32) -> Option<&mut Call> {
        let mut calls = self.calls.iter_mut();
        calls.find(|call| call.state != FREE && call.frame == frame)
    }

    /// The allocation of the call that was entered at this position.
    pub fn key(&mut self, frame: u32) -> Option<AllocationKey> {
        self.at(frame).map(|call| AllocationKey {
            net: call.net,
            net_low: call.net_low(),
            hash: call.hash,
        })
    }

    /// Notes that a call is over, and has found a victim or was for no packet.
    pub fn forget(&mut self, frame: u32) {
        if let Some(call) = self.at(frame)
            && call.state == INSIDE
        {
            call.state = FREE;
        }
    }

    /// Leaves a mark: the call has found no victim.
    ///
    /// Whoever comes second notes that it has seen the first's mark. Where one is
    /// skipped in favour of a packet of the same flow, the marks of two calls are
    /// taken for one another, but still as many come first as there are calls.
    pub fn found_none(
        &mut self,
        frame: u32,
        key: &AllocationKey,
        mark: Mark,
        witness: Witness,
    ) -> Noted {
        let fresh = marked(mark, witness as u32);
        let Some(call) = self.at(frame) else {
            self.begin(frame, key, fresh);
            return Noted::First;
        };
        let first = call.unseen();
        if call.is_marked() && call.is_of(key) && first != 0 && first != witness as u32 {
            let mark = call.mark();
            call.state = match mark {
                // Nobody takes it.
                Mark::AtRest => FREE,
                _ => marked(mark, 0),
            };
            return Noted::Second(mark);
        }
        call.net = key.net;
        call.hash = key.hash;
        call.state = fresh;
        Noted::First
    }

    fn of(&mut self, key: &AllocationKey) -> Option<&mut Call> {
        let mut calls = self.calls.iter_mut();
        calls.find(|call| call.state != FREE && call.is_of(key))
    }

    /// Takes the mark that was left for an allocation, which is over now.
    pub fn take(&mut self, key: &AllocationKey) -> Option<Mark> {
        let call = self.of(key)?;
        let mark = call.is_marked().then_some(call.mark());
        call.state = FREE;
        mark
    }

    /// The same by a second program, which marks for the first, in case that comes
    /// later, that the packet is counted.
    pub fn take_again(&mut self, key: &AllocationKey) -> Option<Mark> {
        let call = self.of(key).filter(|call| call.is_marked())?;
        let mark = call.mark();
        call.state = marked(Mark::Counted, 0);
        Some(mark)
    }

    /// Whether the function at this position was called, on this very stack, by
    /// an `early_drop`.
    pub fn contain(&self, frame: u32) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|call| call.state == INSIDE && call.frame.wrapping_sub(frame) < CALLS_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a process, and a softirq that interrupts it, call `early_drop`.
    const PROCESS: u32 = 0x0001_3d00;
    const SOFTIRQ: u32 = 0x8000_3e00;

    fn key(hash: u32) -> AllocationKey {
        AllocationKey {
            net: 0xffff_8880_1234_5600,
            net_low: 0x1234_5600,
            hash,
        }
    }

    fn none(calls: &mut EarlyDrops, frame: u32, hash: u32, witness: Witness) -> Noted {
        calls.found_none(frame, &key(hash), Mark::Armed, witness)
    }

    #[test]
    fn a_call_without_victim_leaves_a_mark_for_its_allocation_alone() {
        let mut calls = EarlyDrops::default();
        calls.enter(PROCESS, &key(7));
        assert_eq!(none(&mut calls, PROCESS, 7, Witness::One), Noted::First);
        assert_eq!(calls.take(&key(8)), None);
        assert_eq!(calls.take(&key(7)), Some(Mark::Armed));
        assert_eq!(calls.take(&key(7)), None);
        assert!(calls.are_none());
    }

    #[test]
    fn a_call_whose_end_nobody_saw_is_over_with_its_allocation() {
        let mut calls = EarlyDrops::default();
        calls.enter(PROCESS, &key(7));
        assert_eq!(calls.take_again(&key(7)), None);
        assert_eq!(calls.take(&key(7)), None);
        assert!(calls.are_none());
    }

    #[test]
    fn at_rest_a_mark_is_for_the_other_witness_alone() {
        let mut calls = EarlyDrops::default();
        let mut none = |witness| calls.found_none(PROCESS, &key(7), Mark::AtRest, witness);
        assert_eq!(none(Witness::One), Noted::First);
        assert_eq!(none(Witness::Other), Noted::Second(Mark::AtRest));
        assert!(calls.are_none());
    }

    #[test]
    fn a_victim_leaves_nothing() {
        let mut calls = EarlyDrops::default();
        calls.enter(PROCESS, &key(7));
        calls.forget(PROCESS);
        // The second witness.
        calls.forget(PROCESS);
        assert!(calls.are_none());
    }

    #[test]
    fn one_of_two_witnesses_comes_first() {
        for [first, second] in [
            [Witness::One, Witness::Other],
            [Witness::Other, Witness::One],
        ] {
            let mut calls = EarlyDrops::default();
            calls.enter(PROCESS, &key(7));
            assert_eq!(none(&mut calls, PROCESS, 7, first), Noted::First);
            assert_eq!(
                none(&mut calls, PROCESS, 7, second),
                Noted::Second(Mark::Armed)
            );
            assert_eq!(calls.take(&key(7)), Some(Mark::Armed));
        }
    }

    #[test]
    fn a_witness_whose_other_is_skipped_comes_first_each_time() {
        let mut calls = EarlyDrops::default();
        for _ in 0..3 {
            calls.enter(PROCESS, &key(7));
            assert_eq!(none(&mut calls, PROCESS, 7, Witness::Other), Noted::First);
        }
        // Also where nobody sees the beginning.
        assert_eq!(none(&mut calls, PROCESS, 7, Witness::Other), Noted::First);
        assert_eq!(
            none(&mut calls, PROCESS, 7, Witness::One),
            Noted::Second(Mark::Armed)
        );
        assert_eq!(none(&mut calls, PROCESS, 8, Witness::One), Noted::First);
    }

    #[test]
    fn a_softirq_inside_a_call_makes_one_of_its_own() {
        let mut calls = EarlyDrops::default();
        calls.enter(PROCESS, &key(7));
        calls.enter(SOFTIRQ, &key(8));
        none(&mut calls, SOFTIRQ, 8, Witness::One);
        assert!(calls.contain(PROCESS - 200));
        assert!(!calls.contain(SOFTIRQ - 200));
        assert_eq!(calls.take(&key(8)), Some(Mark::Armed));
        none(&mut calls, PROCESS, 7, Witness::One);
        // And between a call and the end of its allocation.
        calls.enter(SOFTIRQ, &key(9));
        calls.forget(SOFTIRQ);
        assert_eq!(calls.take(&key(7)), Some(Mark::Armed));
    }

    #[test]
    fn calls_whose_end_was_skipped_make_room() {
        // Inside of a call, at other depths of the same stack.
        for step in [0, 64_u32.wrapping_neg(), 64] {
            let mut calls = EarlyDrops::default();
            calls.enter(SOFTIRQ, &key(1000));
            for hash in 1..60 {
                let frame = PROCESS.wrapping_add(step.wrapping_mul(hash));
                calls.enter(frame, &key(hash));
                if hash % 2 == 0 {
                    none(&mut calls, frame, hash, Witness::One);
                }
                assert_eq!(calls.key(SOFTIRQ), Some(key(1000)));
                assert_eq!(calls.key(frame), Some(key(hash)));
            }
        }
    }

    #[test]
    fn at_rest_marks_make_room() {
        let mut calls = EarlyDrops::default();
        calls.enter(PROCESS, &key(7));
        calls.enter(SOFTIRQ, &key(8));
        calls.found_none(SOFTIRQ, &key(8), Mark::AtRest, Witness::One);
        calls.enter(SOFTIRQ + 0x10_0000, &key(9));
        assert_eq!(calls.key(PROCESS), Some(key(7)));
        assert_eq!(calls.key(SOFTIRQ + 0x10_0000), Some(key(9)));
    }

    #[test]
    fn of_three_a_mark_goes_before_a_call_under_way() {
        let mut calls = EarlyDrops::default();
        calls.enter(PROCESS, &key(7));
        none(&mut calls, PROCESS, 7, Witness::One);
        calls.enter(SOFTIRQ, &key(8));
        calls.enter(0x4000_0000, &key(9));
        assert_eq!(calls.key(SOFTIRQ), Some(key(8)));
        assert_eq!(calls.key(0x4000_0000), Some(key(9)));
    }

    #[test]
    fn the_second_program_at_an_allocation_marks_it_counted() {
        let mut calls = EarlyDrops::default();
        calls.enter(PROCESS, &key(7));
        none(&mut calls, PROCESS, 7, Witness::One);
        assert_eq!(calls.take_again(&key(7)), Some(Mark::Armed));
        assert_eq!(calls.take(&key(7)), Some(Mark::Counted));
        assert_eq!(calls.take_again(&key(7)), None);
    }
}
