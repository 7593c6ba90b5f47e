//! Joins what two programs see of the same packet.
//!
//! Neither the CPU nor the process identifies a packet: a task in the middle
//! of sending one can be interrupted by a softirq that handles another, and
//! can be moved to another CPU. What does is what both functions are called with,
//! and the task whose stack they run on.

use aya_ebpf::bindings::BPF_ANY;
use conntrack_ebpf::{
    Fault, Phase,
    early_drops::{Asked, EarlyDrops, Noted, Witness},
    judge::Mark,
    slots::{Set, set_of},
};

use crate::{
    count, kernel,
    maps::{self, SETS},
};

/// Identifies one packet while it is inside the conntrack code.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct JoinKey {
    /// Address of the packet.
    skb: u64,
    /// Address of the current task.
    task: u64,
}

impl JoinKey {
    fn of(skb: kernel::Skb) -> Self {
        Self {
            skb: skb.address(),
            task: kernel::current_task(),
        }
    }
}

/// How long word of a clash is good for, in nanoseconds. Its reader runs a moment
/// later, but that can be after kernel messages have gone out to a slow
/// console. If the reader was skipped, the word must not be taken for that of a
/// later packet that happens to have the same key.
const GOOD_FOR: u64 = 60_000_000_000;

/// Leaves word for the program that runs at the end of `__nf_conntrack_confirm`:
/// the packet is counted.
pub fn leave_clash(skb: kernel::Skb) {
    let left = Left {
        at: kernel::now(),
        at_rest: u64::from(count::epoch().is(Phase::AtRest)),
    };
    let key = JoinKey::of(skb);
    if maps::CLASHES.insert(key, left, u64::from(BPF_ANY)).is_err() {
        count::fault(Fault::JoinLost);
    }
}

/// What is left of a clash.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Left {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    at: u64,
    /// 1 if it was left at rest.
    at_rest: u64,
}

/// Takes such word away; whether there was any. At rest nobody takes it, so what
/// was left then is not believed once all programs have been attached for longer
/// than a packet can be on its way.
pub fn take_clash(skb: kernel::Skb) -> bool {
    let key = JoinKey::of(skb);
    let Some(left) = maps::CLASHES.get_ptr_mut(key).map(kernel::peek) else {
        return false;
    };
    // Nobody else has this key, so nobody else can have removed it.
    let _ = maps::CLASHES.remove(key);
    kernel::now().wrapping_sub(left.at) < GOOD_FOR
        && !(left.at_rest != 0 && count::epoch().is(Phase::Armed))
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

/// The calls of `early_drop` on behalf of the current task, and whose they are.
struct OfTask {
    task: u64,
    set: *mut Set<EarlyDrops>,
}

impl OfTask {
    /// There always is a set.
    fn current() -> Option<Self> {
        let task = kernel::current_task();
        let set = maps::EARLY_DROPS.get_ptr_mut(set_of(task, SETS))?;
        Some(Self { task, set })
    }

    /// Looks at them, or changes them; gives up the slot if none are left.
    fn revise<R>(&self, change: impl FnOnce(&mut EarlyDrops) -> R) -> Option<R> {
        kernel::update(self.set, |set| {
            let drops = set.find(self.task)?;
            let result = change(drops);
            if drops.are_none() {
                set.release(self.task, kernel::add_to_owner);
            }
            Some(result)
        })
    }

    /// Begins with these.
    fn leave(&self, drops: EarlyDrops) {
        let room = kernel::update(self.set, |set| {
            set.leave(self.task, drops, kernel::add_to_owner)
        });
        if !room {
            count::fault(Fault::JoinLost);
        }
    }
}

/// Notes that `early_drop` is entered, at this position on the stack.
pub fn enter_early_drop(frame: u32, asked: Asked) {
    ring();
    let Some(of_task) = OfTask::current() else {
        return;
    };
    if of_task.revise(|drops| drops.enter(frame, &asked)).is_none() {
        let mut drops = EarlyDrops::default();
        drops.enter(frame, &asked);
        of_task.leave(drops);
    }
}

/// What `early_drop` was called with that was entered at this position; none if
/// nobody saw that.
pub fn early_drop_at(frame: u32) -> Option<Asked> {
    OfTask::current()?.revise(|drops| drops.asked(frame))?
}

/// Notes that `early_drop` is left, and that there is nothing to say to anybody.
pub fn forget(frame: u32) {
    if let Some(of_task) = OfTask::current() {
        of_task.revise(|drops| drops.forget(frame));
    }
}

/// Notes that it is left without: the allocation that called it will be refused.
/// Gives the mark that the other witness has left for the same call, if it came
/// first.
pub fn found_none(frame: u32, asked: Asked, mark: Mark, witness: Witness) -> Option<Mark> {
    let of_task = OfTask::current()?;
    match of_task.revise(|drops| drops.found_none(frame, &asked, mark, witness)) {
        Some(Noted::Second(first)) => return Some(first),
        Some(Noted::First) => {}
        None => {
            let mut drops = EarlyDrops::default();
            drops.found_none(frame, &asked, mark, witness);
            of_task.leave(drops);
        }
    }
    None
}

/// Takes the mark that was left for an allocation.
pub fn take(asked: Asked) -> Option<Mark> {
    OfTask::current()?.revise(|drops| drops.take(&asked))?
}

/// The same, by the second program at the end of the allocation.
pub fn take_again(asked: Asked) -> Option<Mark> {
    OfTask::current()?.revise(|drops| drops.take_again(&asked))?
}

/// Whether the function at this position was called, on this very stack, by an
/// `early_drop`.
pub fn inside_early_drop(frame: u32) -> bool {
    OfTask::current()
        .and_then(|of_task| of_task.revise(|drops| drops.contain(frame)))
        .unwrap_or(false)
}
