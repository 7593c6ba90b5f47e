//! The table of [`flow_slots`], one for each epoch.

use aya_ebpf::Global;
use conntrack_ebpf::flow_slots::{self, Counted, OFF, ON, SEEDS, SlotKey, Word as _};

use crate::{kernel, maps};

/// Whether the table is used. User space sets this before the load. If the table is not
/// used, the verifier removes this code.
#[unsafe(no_mangle)]
static FLOW_SLOTS: Global<u32> = Global::new(OFF);

/// The keys of the hash. User space sets them before the load.
#[unsafe(no_mangle)]
static FLOW_SEED: [Global<u64>; SEEDS] = [const { Global::new(u64::MAX) }; SEEDS];

/// Whether the table is used.
pub fn is_used() -> bool {
    FLOW_SLOTS.load() == ON
}

/// Counts one packet of a flow, if the set has a slot for it. This is a separate function, so
/// that later calls can use its stack again: a chain of calls has 512 bytes.
#[inline(never)]
pub fn count(epoch: u32, flow: &SlotKey) -> Counted {
    count_in(epoch, flow.set(|place| FLOW_SEED[place].load()), flow)
}

/// The same, with the hash of the tuple that conntrack has computed. This saves a hash.
#[inline(never)]
pub fn count_of_tuple(epoch: u32, flow: &SlotKey, hash: u32) -> Counted {
    count_in(epoch, flow_slots::set_of_tuple(hash), flow)
}

/// Counts one packet of a flow in this set.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "a call in a program costs more than what it saves"
)]
fn count_in(epoch: u32, set: u32, flow: &SlotKey) -> Counted {
    let slots = if epoch == 0 {
        maps::SLOTS_0.get(set)
    } else {
        maps::SLOTS_1.get(set)
    };
    let Some(slots) = slots else {
        return Counted::No;
    };
    let now = kernel::low(kernel::now() >> flow_slots::UNIT_BITS);
    flow_slots::count(&slots.0, flow, now, || mark(epoch, set))
}

/// Marks a set as used.
fn mark(epoch: u32, set: u32) {
    let place = set / u64::BITS;
    let word = if epoch == 0 {
        maps::USED_0.get(place)
    } else {
        maps::USED_1.get(place)
    };
    if let Some(word) = word {
        word.set_bits(1 << (set % u64::BITS));
    }
}
