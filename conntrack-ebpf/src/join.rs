//! Joins what two programs see of the same packet.
//!
//! Neither the CPU nor the process identifies a packet: a task in the middle
//! of sending one can be interrupted by a softirq that handles another, and
//! can be moved to another CPU. What does is what both functions are called with,
//! and the task whose stack they run on.

use aya_ebpf::bindings::BPF_ANY;
use conntrack_ebpf::{
    Epoch, Fault,
    allocation_note::AllocationNote,
    early_drop_note::{self, Note},
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
    let note = ClashNote { at: kernel::now() };
    let key = clash_key(skb);
    if maps::CLASHES.insert(key, note, u64::from(BPF_ANY)).is_err() {
        count::fault(Fault::JoinLost);
    }
}

/// Since when refused confirmations are counted. None if they are not counted.
pub fn confirming_since() -> Option<u64> {
    let since = maps::CONFIRMING_SINCE.get_ptr_mut(0).map(kernel::peek)?;
    (since != 0).then_some(since)
}

/// Takes the note of a clash away, and returns whether there was one. Before `since` there may
/// have been no program that takes notes. So a note from before `since` is not of this packet.
pub fn take_clash(skb: kernel::Skb, since: u64) -> bool {
    let key = clash_key(skb);
    let Some(note) = maps::CLASHES.get_ptr_mut(key).map(kernel::peek) else {
        return false;
    };
    // Nobody else has this key, so nobody else can have removed it.
    let _ = maps::CLASHES.remove(key);
    note.at >= since && kernel::now().wrapping_sub(note.at) < VALID_FOR
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

/// 1 if an entry was ever killed inside a noted call.
static HAS_EVICTED: kernel::Shared = kernel::Shared::new(0);

/// When that last happened, in jiffies.
static EVICTED_AT: kernel::Shared = kernel::Shared::new(0);

/// Calls `change` for the notes at these indices, until it returns something.
fn find_note<R>(places: [u32; 2], mut change: impl FnMut(&mut Note) -> Option<R>) -> Option<R> {
    let [place, other] = places;
    let note = maps::EARLY_DROP_NOTES.get_ptr_mut(place)?;
    let found = kernel::update(note, &mut change);
    if found.is_some() || other == place {
        return found;
    }
    let note = maps::EARLY_DROP_NOTES.get_ptr_mut(other)?;
    kernel::update(note, change)
}

/// Takes the note of the call of `early_drop` that this failing allocation made. None if the
/// table had room, or if the note is lost.
pub fn take_note(position: u32, key: &AllocationKey) -> Option<Mark> {
    let now = kernel::jiffies();
    let places = early_drop_note::places_below(position);
    find_note(places, |note| note.take(position, key, now))
}

/// An allocation succeeds. If it has evicted an entry, an entry that dies later on this stack
/// must not be taken for another victim.
pub fn end_note(position: impl FnOnce() -> u32) {
    if HAS_EVICTED.load() != 0 {
        end_recent_note(position());
    }
}

/// This is a separate function: it runs for each new flow only after entries were evicted.
#[inline(never)]
fn end_recent_note(position: u32) {
    let since = kernel::jiffies().wrapping_sub(EVICTED_AT.load());
    if since < early_drop_note::VALID_FOR {
        let places = early_drop_note::places_below(position);
        find_note(places, |note| note.end(position).then_some(()));
    }
}

/// Notes that a call of `early_drop` has killed an entry to make room. The function at this
/// position was called inside that call.
pub fn note_eviction(position: u32) {
    let now = kernel::jiffies();
    let places = early_drop_note::places_above(position);
    let evicted = find_note(places, |note| {
        note.contains(position, now).then(|| note.evict())
    });
    if evicted.is_some() {
        EVICTED_AT.store(now);
        HAS_EVICTED.store(1);
    }
}

fn is_noted(position: u32) -> bool {
    let now = kernel::jiffies();
    let places = early_drop_note::places_above(position);
    find_note(places, |note| note.contains(position, now).then_some(())).is_some()
}

/// Notes that `early_drop` is entered, at this position on the stack. If `leaves_note` for the
/// current epoch, the note is for the program that counts the packet later
/// ([`take_note`], [`leave_early_drop`]). Otherwise it is for the programs at the exit.
pub fn enter_early_drop(frame: u32, key: AllocationKey, leaves_note: impl FnOnce(Epoch) -> bool) {
    pressure::signal();
    if leaves_note(count::epoch()) {
        note_early_drop(frame, &key);
    } else {
        begin_early_drop(frame, key);
    }
}

fn note_early_drop(frame: u32, key: &AllocationKey) {
    let place = early_drop_note::place_of(frame);
    if let Some(note) = maps::EARLY_DROP_NOTES.get_ptr_mut(place)
        && !kernel::update(note, |note| note.enter(frame, key, kernel::jiffies()))
    {
        count::fault(Fault::JoinLost);
    }
}

/// Ends the note of the call of `early_drop` that was entered at this position, and gives the
/// allocation that made it. None if there is no note of its entry.
pub fn leave_early_drop(frame: u32, made_room: bool) -> Option<AllocationKey> {
    let place = early_drop_note::place_of(frame);
    let note = maps::EARLY_DROP_NOTES.get_ptr_mut(place)?;
    kernel::update(note, |note| note.leave(frame, made_room, kernel::jiffies()))
}

/// Notes that an allocation is entered.
pub fn enter_allocation(call: &AllocationNote) {
    let place = early_drop_note::place_of(call.frame);
    if let Some(note) = maps::ALLOCATION_NOTES.get_ptr_mut(place) {
        kernel::update(note, |note| *note = *call);
    }
}

/// Takes the note of this allocation, which called the function that was entered at this
/// position. None if the note of another allocation has overwritten it.
pub fn take_allocation(position: u32, key: &AllocationKey) -> Option<AllocationNote> {
    let now = kernel::jiffies();
    let [place, other] = early_drop_note::places_above(position);
    let take = |place| {
        let note = maps::ALLOCATION_NOTES.get_ptr_mut(place)?;
        kernel::update(note, |note| note.take(position, key, now))
    };
    take(place).or_else(|| take(other))
}

/// Takes the note of the allocation that was entered at this position.
pub fn take_allocation_at(position: u32) -> Option<AllocationNote> {
    let place = early_drop_note::place_of(position);
    let note = maps::ALLOCATION_NOTES.get_ptr_mut(place)?;
    kernel::update(note, |note| note.take_at(position, kernel::jiffies()))
}

/// The same, for programs at its exit, in a map that loses no notes.
fn begin_early_drop(frame: u32, key: AllocationKey) {
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
    is_noted(frame)
        || TaskCalls::current()
            .and_then(|calls| calls.revise(|drops| drops.contain(frame)))
            .unwrap_or(false)
}
