//! Counts. A packet whose flow has a slot is counted there and nowhere else. Any other is
//! counted in the totals, which lose nothing, then in the flow's own entry.

use aya_ebpf::bindings::BPF_NOEXIST;
use conntrack_ebpf::{
    Epoch, Fault, FlowCount, FlowKey, Reason, ServiceKey, TOTAL_SLOTS, TotalCounts, TotalKey,
    flow_slots::{Counted, SlotKey},
};

use crate::{flow_table, kernel, maps, sender};

/// Counts one packet of `flow`.
pub fn flow(epoch: Epoch, flow: &FlowKey) {
    in_slot_or_without(epoch, &SlotKey::from(flow), flow_table::count);
}

/// The same, with the hash of its tuple that conntrack has computed.
pub fn flow_of_tuple(epoch: Epoch, flow: &SlotKey, hash: u32) {
    in_slot_or_without(epoch, flow, |index, flow| {
        flow_table::count_of_tuple(index, flow, hash)
    });
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "a call in a program costs more than what it saves"
)]
fn in_slot_or_without(epoch: Epoch, flow: &SlotKey, count: impl FnOnce(u32, &SlotKey) -> Counted) {
    let Some(index) = epoch.index() else {
        return;
    };
    let counted = if flow_table::is_used() {
        count(index, flow)
    } else {
        Counted::No
    };
    match counted {
        Counted::Again => {}
        Counted::First => sender::note(flow.sender()),
        Counted::No => without_slot(index, flow),
    }
}

/// Counts one packet of a flow that has no slot. A function of its own, so that its caller
/// does not keep the parts of the flow for it.
#[inline(never)]
fn without_slot(index: u32, flow: &SlotKey) {
    let flow = &FlowKey::from(flow);
    total_in(index, flow.netns, flow.reason);
    let counted = if index == 0 {
        flow_in(&maps::FLOWS_0, flow)
    } else {
        flow_in(&maps::FLOWS_1, flow)
    };
    if !counted {
        service(index, &ServiceKey::from(flow));
    }
}

/// Counts one packet, or one refusal that is none, without a flow.
pub fn total(epoch: Epoch, netns: u32, reason: Reason) {
    in_slot(epoch, netns, reason as u32);
}

/// Counts in one of the slots of the totals that are no reason's.
pub fn in_slot(epoch: Epoch, netns: u32, slot: u32) {
    if let Some(index) = epoch.index() {
        total_in(index, netns, slot);
    }
}

/// Counts an error inside a program.
pub fn fault(fault: Fault) {
    if let Some(slot) = maps::FAULTS.get_ptr_mut(fault as u32) {
        kernel::add(slot, 1);
    }
}

/// The current epoch. Read once for each packet and count, so that everything
/// counted for it lands in the same.
pub fn epoch() -> Epoch {
    maps::EPOCH
        .get_value(0, &0)
        .map_or(Epoch::OFF, |&number| Epoch(number))
}

/// What a new entry of the totals begins with. Not on the stack, of which a
/// chain of calls has 512 bytes.
static NOTHING: TotalCounts = TotalCounts {
    slots: [0; TOTAL_SLOTS],
};

#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "by value, it would be copied to the stack"
)]
fn total_in(epoch: u32, netns: u32, slot: u32) {
    let key = TotalKey { netns, epoch };
    let mut counts = maps::TOTALS.get_ptr_mut(key);
    if counts.is_none() {
        // Fails if a softirq or another CPU made the entry since: as good.
        let _ = maps::TOTALS.insert(key, &NOTHING, u64::from(BPF_NOEXIST));
        counts = maps::TOTALS.get_ptr_mut(key);
    }
    if let Some(counts) = counts.or_else(|| maps::SPILL.get_ptr_mut(epoch)) {
        kernel::add_to_slot(counts, slot);
    }
}

/// Adds one to a flow's entry; false if the map has no room for it.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the map must be known at compile time"
)]
fn flow_in<const N: usize>(
    map: &aya_ebpf::btf_maps::HashMap<FlowKey, FlowCount, N>,
    flow: &FlowKey,
) -> bool {
    let now = kernel::now();
    if let Some(count) = map.get_ptr_mut(flow) {
        kernel::add_to_flow(count, now);
        return true;
    }
    let first = FlowCount {
        packets: 1,
        first: now,
        last: now,
    };
    if map.insert(flow, first, u64::from(BPF_NOEXIST)).is_ok() {
        sender::note(flow.sender);
        return true;
    }
    // Either another CPU made the entry meanwhile, or the map is full.
    let Some(count) = map.get_ptr_mut(flow) else {
        return false;
    };
    kernel::add_to_flow(count, now);
    true
}

/// Adds one to the place a packet wanted to go. If even that has no room, the
/// packet is in the totals alone.
fn service(epoch: u32, key: &ServiceKey) {
    if epoch == 0 {
        service_in(&maps::SERVICES_0, key);
    } else {
        service_in(&maps::SERVICES_1, key);
    }
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the map must be known at compile time"
)]
fn service_in<const N: usize>(
    map: &aya_ebpf::btf_maps::HashMap<ServiceKey, u64, N>,
    key: &ServiceKey,
) {
    if let Some(slot) = map.get_ptr_mut(key) {
        return kernel::add(slot, 1);
    }
    if map.insert(key, 1_u64, u64::from(BPF_NOEXIST)).is_err()
        && let Some(slot) = map.get_ptr_mut(key)
    {
        kernel::add(slot, 1);
    }
}
