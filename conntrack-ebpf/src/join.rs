//! Joins what two programs see of the same packet.
//!
//! Neither the CPU nor the process identifies a packet: a task in the middle
//! of sending one can be interrupted by a softirq that handles another, and
//! can be moved to another CPU. What does is what both functions are called with,
//! and the task whose stack they run on.

use aya_ebpf::bindings::BPF_ANY;
use conntrack_ebpf::{
    Fault, Phase,
    early_drops::{AllocationKey, EarlyDrops, Noted, Witness},
    judge::Mark,
    slots::{Set, set_of},
};

use crate::{
    count, kernel,
    maps::{self, SETS},
    notes::{ClashKey, ClashNote},
    pressure,
};

/// The packet at hand.
fn clash_key(skb: kernel::Skb) -> ClashKey {
    ClashKey {
        skb: skb.address(),
        task: kernel::current_task(),
    }
}

/// How long the note of a clash is valid, in nanoseconds. Its reader runs a moment
/// later, but that can be after kernel messages have gone out to a slow
/// console. If the reader was skipped, the note must not be taken for that of a
/// later packet that happens to have the same key.
const VALID_FOR: u64 = 60_000_000_000;

/// Notes for the program at the end of `__nf_conntrack_confirm` that the packet is
/// counted.
pub fn note_clash(skb: kernel::Skb) {
    let note = ClashNote {
        at: kernel::now(),
        at_rest: u64::from(count::epoch().is(Phase::AtRest)),
    };
    let key = clash_key(skb);
    if maps::CLASHES.insert(key, note, u64::from(BPF_ANY)).is_err() {
        count::fault(Fault::JoinLost);
    }
}

/// Takes such a note away; whether there was one. At rest nobody takes it, so a note
/// of that time does not count once all programs have been attached for longer than
/// a packet can be on its way.
pub fn take_clash(skb: kernel::Skb) -> bool {
    let key = clash_key(skb);
    let Some(note) = maps::CLASHES.get_ptr_mut(key).map(kernel::peek) else {
        return false;
    };
    // Nobody else has this key, so nobody else can have removed it.
    let _ = maps::CLASHES.remove(key);
    kernel::now().wrapping_sub(note.at) < VALID_FOR
        && !(note.at_rest != 0 && count::epoch().is(Phase::Armed))
}

/// The calls of `early_drop` on behalf of the current task, and whose they are.
struct TaskCalls {
    task: u64,
    set: *mut Set<EarlyDrops>,
}

impl TaskCalls {
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
pub fn enter_early_drop(frame: u32, key: AllocationKey) {
    pressure::signal();
    let Some(calls) = TaskCalls::current() else {
        return;
    };
    if calls.revise(|drops| drops.enter(frame, &key)).is_none() {
        let mut drops = EarlyDrops::default();
        drops.enter(frame, &key);
        calls.leave(drops);
    }
}

/// The allocation on whose behalf `early_drop` was entered at this position; none if
/// no program saw that.
pub fn early_drop_at(frame: u32) -> Option<AllocationKey> {
    TaskCalls::current()?.revise(|drops| drops.key(frame))?
}

/// Notes that `early_drop` returns, and that no later program needs to know.
pub fn forget(frame: u32) {
    if let Some(calls) = TaskCalls::current() {
        calls.revise(|drops| drops.forget(frame));
    }
}

/// Notes that it returns without a victim: the allocation that called it will be
/// refused. Gives the mark that the other witness has left for the same call, if it
/// came first.
pub fn found_none(frame: u32, key: AllocationKey, mark: Mark, witness: Witness) -> Option<Mark> {
    let calls = TaskCalls::current()?;
    match calls.revise(|drops| drops.found_none(frame, &key, mark, witness)) {
        Some(Noted::Second(first)) => return Some(first),
        Some(Noted::First) => {}
        None => {
            let mut drops = EarlyDrops::default();
            drops.found_none(frame, &key, mark, witness);
            calls.leave(drops);
        }
    }
    None
}

/// Takes the mark that was left for an allocation.
pub fn take(key: AllocationKey) -> Option<Mark> {
    TaskCalls::current()?.revise(|drops| drops.take(&key))?
}

/// The same, by the second program at the end of the allocation.
pub fn take_again(key: AllocationKey) -> Option<Mark> {
    TaskCalls::current()?.revise(|drops| drops.take_again(&key))?
}

/// Whether the function at this position was called, on this very stack, by an
/// `early_drop`.
pub fn inside_early_drop(frame: u32) -> bool {
    TaskCalls::current()
        .and_then(|calls| calls.revise(|drops| drops.contain(frame)))
        .unwrap_or(false)
}
