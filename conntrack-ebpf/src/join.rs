//! Joins what two programs see of the same packet.
//!
//! Neither the CPU nor the process identifies a packet: a task in the middle
//! of sending one can be interrupted by a softirq that handles another, and
//! can be moved to another CPU. What does is the pair of values that both
//! functions are called with, and the task whose stack they run on.

use aya_ebpf::bindings::BPF_ANY;
use conntrack_ebpf::{Fault, Phase, judge::Mark};

use crate::{count, kernel, maps};

/// Identifies one packet while it is inside the conntrack code.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct JoinKey {
    /// First value that both programs know: a namespace or a packet.
    subject: u64,
    /// Second one: a tuple's hash.
    hash: u64,
    /// Address of the current task.
    task: u64,
}

impl JoinKey {
    /// Key for an allocation: the arguments of `early_drop` and
    /// `__nf_conntrack_alloc` that are the same.
    pub fn allocation(net: kernel::Net, hash: u32) -> Self {
        Self {
            subject: net.address(),
            hash: u64::from(hash),
            task: kernel::current_task(),
        }
    }

    /// Key for a packet on its way through `__nf_conntrack_confirm`. No hash
    /// is this large, so it cannot be taken for an allocation.
    pub fn confirmation(skb: kernel::Skb) -> Self {
        Self {
            subject: skb.address(),
            hash: u64::MAX,
            task: kernel::current_task(),
        }
    }
}

/// How long a mark is good for, in nanoseconds. Its reader runs a moment
/// later, but that can be after kernel messages have gone out to a slow
/// console. A mark whose reader was skipped must not be taken for that of a
/// later packet that happens to have the same key.
const GOOD_FOR: u64 = 60_000_000_000;

/// What is left for the program that runs later for the same packet.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Left {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    at: u64,
    /// A [`Mark`].
    mark: u32,
    /// A [`Witness`] whose mark the other one has not seen yet, or 0.
    unseen: u32,
}

impl Left {
    fn new(mark: Mark, unseen: u32) -> Self {
        Self {
            at: kernel::now(),
            mark: mark as u32,
            unseen,
        }
    }

    const fn mark(self) -> Mark {
        match self.mark {
            0 => Mark::Armed,
            1 => Mark::AtRest,
            _ => Mark::Counted,
        }
    }
}

/// One of two programs that see the same call and leave the same mark, in
/// whichever order. The kernel skips one if it was interrupted on this CPU by
/// the softirq whose packet this is; it never skips both.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Witness {
    One = 1,
    Other = 2,
}

/// Leaves a mark for the program that runs later for the same packet. Gives
/// the one that the other witness has left for the same call, if it came first;
/// that one stays.
///
/// Whoever comes second notes that it has seen the first's mark. Where one is
/// skipped in favour of a packet of the same flow, the marks of two calls are
/// taken for one another, but still as many come first as there are calls.
pub fn leave(key: JoinKey, at_rest: bool, witness: Witness) -> Option<Mark> {
    if let Some(left) = maps::JOINS.get_ptr_mut(key) {
        let first = kernel::peek(left);
        if first.unseen != 0 && first.unseen != witness as u32 {
            kernel::update(left, |left| left.unseen = 0);
            return Some(first.mark());
        }
    }
    let mark = if at_rest { Mark::AtRest } else { Mark::Armed };
    put(key, Left::new(mark, witness as u32));
    None
}

/// Leaves word for a program that runs later at the same place: the packet is
/// counted.
pub fn leave_counted(key: JoinKey) {
    put(key, Left::new(Mark::Counted, 0));
}

fn put(key: JoinKey, left: Left) {
    if maps::JOINS.insert(key, left, u64::from(BPF_ANY)).is_err() {
        count::fault(Fault::JoinLost);
    }
}

/// Takes the mark away, if there is one. At rest nobody takes marks, so one
/// that was left then is not believed once all programs have been attached for
/// longer than a packet can be on its way.
pub fn take(key: JoinKey) -> Option<Mark> {
    let left = maps::JOINS.get_ptr_mut(key).map(kernel::peek)?;
    // Nobody else has this key, so nobody else can have removed it.
    let _ = maps::JOINS.remove(key);
    let old = kernel::now().wrapping_sub(left.at) >= GOOD_FOR;
    match left.mark() {
        _ if old => None,
        Mark::AtRest if count::epoch().is(Phase::Armed) => None,
        mark => Some(mark),
    }
}

/// Wakes user space, if it has asked to be woken by the first sign of pressure.
pub fn ring() {
    if let Some(asked) = maps::BELL.get_ptr_mut(0)
        && kernel::peek(asked) != 0
    {
        kernel::store(asked, 0);
        // A full ring is as good a sign.
        let _ = maps::PRESSURE.output(1_u64, 0);
    }
}

/// Calls of `early_drop` on behalf of one task, each by the low half of a
/// position on its stack; 0 is a free place. Two, because a softirq can
/// interrupt a task inside `early_drop` and call it again, and no further
/// nesting exists.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Frames {
    places: [u32; 2],
}

/// How far below the position of `early_drop` that of `nf_ct_delete` can lie,
/// in bytes. A softirq runs on a stack of its own, megabytes away.
const NESTED_WITHIN: u32 = 4096;

/// Notes that `early_drop` is entered, with its position on the stack.
pub fn enter_eviction(frame: u32) {
    ring();
    let task = kernel::current_task();
    let Some(frames) = maps::EVICTING.get_ptr_mut(task) else {
        let first = Frames { places: [frame, 0] };
        if maps::EVICTING
            .insert(task, first, u64::from(BPF_ANY))
            .is_err()
        {
            count::fault(Fault::JoinLost);
        }
        return;
    };
    kernel::update(frames, |frames| {
        let place = usize::from(frames.places[0] != 0);
        frames.places[place] = frame;
    });
}

/// Notes that `early_drop` is left, with the position that it was entered with.
pub fn leave_eviction(frame: u32) {
    if let Some(frames) = maps::EVICTING.get_ptr_mut(kernel::current_task()) {
        kernel::update(frames, |frames| {
            for place in &mut frames.places {
                if *place == frame {
                    *place = 0;
                }
            }
        });
    }
}

/// Whether the function at this position was called, on this very stack, by an
/// `early_drop`.
pub fn inside_eviction(frame: u32) -> bool {
    maps::EVICTING
        .get_ptr_mut(kernel::current_task())
        .is_some_and(|frames| {
            kernel::peek(frames)
                .places
                .iter()
                .any(|&outer| outer != 0 && outer.wrapping_sub(frame) < NESTED_WITHIN)
        })
}
