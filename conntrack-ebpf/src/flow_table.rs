//! The table of [`flow_slots`], one for each epoch.

use aya_ebpf::Global;
use conntrack_ebpf::{
    FlowKey,
    flow_slots::{self, Counted, OFF, ON, SEEDS, SlotKey, Word as _},
};

use crate::{kernel, maps, sender};

/// Whether the table is used. Set by user space before the load; if not, the verifier
/// removes this code.
#[unsafe(no_mangle)]
static FLOW_SLOTS: Global<u32> = Global::new(OFF);

/// Keys the hash. Set by user space before the load.
#[unsafe(no_mangle)]
static FLOW_SEED: [Global<u64>; SEEDS] = [const { Global::new(u64::MAX) }; SEEDS];

/// Counts one packet of a flow; false if it has no slot.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "so that nothing is left where the table is not used"
)]
pub fn count(epoch: u32, flow: &FlowKey) -> bool {
    if FLOW_SLOTS.load() != ON {
        return false;
    }
    let key = SlotKey::from(flow);
    let set = key.set(|place| FLOW_SEED[place].load());
    let slots = if epoch == 0 {
        maps::SLOTS_0.get(set)
    } else {
        maps::SLOTS_1.get(set)
    };
    let Some(slots) = slots else {
        return false;
    };
    let now = kernel::low(kernel::now() >> flow_slots::UNIT_BITS);
    let counted = flow_slots::count(&slots.0, &key, now, || mark(epoch, set));
    if counted == Counted::First {
        sender::note(flow.sender);
    }
    counted != Counted::No
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
