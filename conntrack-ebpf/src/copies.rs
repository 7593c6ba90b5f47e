//! Copies packets that were refused, if user space wants that.
//!
//! A program that has the packet copies it when it counts it ([`take`]). A program that
//! sees a refused allocation has only the flow. Then the packet is copied when the same
//! task frees it a moment later ([`take_when_freed`], [`freed`]).
//!
//! Counting comes first and does not depend on this. If no copies are wanted, the verifier
//! removes this code: [`CAPTURE_WANTED`] is frozen before the programs are loaded.

use aya_ebpf::{
    Global,
    bindings::{BPF_ANY, BPF_NOEXIST, BPF_RB_NO_WAKEUP},
};
use conntrack_ebpf::{
    Epoch, FlowKey,
    capture::{self, CaptureOrder, CapturedPacket, Omission, SNAP_LENGTH},
    flow_slots::SlotKey,
};

use crate::{
    headers,
    kernel::{self, Access, Read, Skb, Typed, Unreadable},
    maps,
    notes::CaptureNote,
};

/// Whether copies are wanted. Set by user space before the load.
#[unsafe(no_mangle)]
static CAPTURE_WANTED: Global<u32> = Global::new(capture::OFF);

/// Which copies are wanted. Set by user space before the load.
#[unsafe(no_mangle)]
static CAPTURE_ORDER: Global<CaptureOrder> = Global::new(CaptureOrder::NOTHING);

/// How long a note is valid, in nanoseconds: [`freed`] reads it a moment later. If the
/// kernel skipped that program, a later packet must not use the note.
const VALID_FOR: u64 = 1_000_000_000;

/// Copies a packet of this flow, which was counted in this epoch.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "so that nothing is left if no copies are wanted"
)]
pub fn take<R: Access>(epoch: Epoch, skb: Skb<R>, flow: &FlowKey) {
    if CAPTURE_WANTED.load() == capture::ON {
        take_wanted(epoch, skb, flow);
    }
}

/// A function of its own, so that it does not change the code of its callers.
#[inline(never)]
fn take_wanted<R: Access>(epoch: Epoch, skb: Skb<R>, flow: &FlowKey) {
    if let Some(number) = admit(epoch, flow) {
        copy(skb, flow, kernel::now(), number);
    }
}

/// Notes that a packet of this flow, which was counted in this epoch, is to be copied when
/// the current task frees it.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "so that nothing is left if no copies are wanted"
)]
pub fn take_when_freed(epoch: Epoch, flow: &SlotKey) {
    if CAPTURE_WANTED.load() == capture::ON {
        note_wanted(epoch, flow);
    }
}

/// A function of its own, as [`take_wanted`].
#[inline(never)]
fn note_wanted(epoch: Epoch, flow: &SlotKey) {
    let flow = FlowKey::from(flow);
    if let Some(number) = admit(epoch, &flow) {
        let note = CaptureNote {
            at: kernel::now(),
            number,
            flow,
            padding: 0,
        };
        // Fails if other CPUs use all memory of the map at this moment: then the packet
        // counts as one that no program saw.
        let _ = maps::CAPTURE_NOTES.insert(kernel::current_task(), note, u64::from(BPF_ANY));
    }
}

/// The current task frees a packet.
pub fn freed(skb: Skb<Typed>) {
    let task = kernel::current_task();
    let Some(note) = maps::CAPTURE_NOTES.get_ptr_mut(task) else {
        return;
    };
    let note = kernel::peek(note);
    // A softirq can free another packet first.
    if !is_of(skb, &note.flow).unwrap_or(false) {
        return;
    }
    let _ = maps::CAPTURE_NOTES.remove(task);
    if kernel::now().wrapping_sub(note.at) < VALID_FOR {
        copy(skb, &note.flow, note.at, note.number);
    }
}

/// Whether a packet without an entry is of this flow.
fn is_of(skb: Skb<Typed>, flow: &FlowKey) -> Read<bool> {
    let protocol = skb.protocol()?;
    if skb.nfct()? != 0 || !headers::is_ip(protocol) {
        return Ok(false);
    }
    Ok(headers::flow_key(skb, protocol, flow.netns, flow.reason)?.has_headers_of(flow))
}

/// The number of a packet among the refused packets of its flow, if it is to be copied.
fn admit(epoch: Epoch, flow: &FlowKey) -> Option<u64> {
    let order = CAPTURE_ORDER.load();
    let is_asked_for = epoch.index().is_some()
        && order.reasons >> (flow.reason & 31) & 1 != 0
        && (order.netns == 0 || order.netns == flow.netns);
    if !is_asked_for {
        return None;
    }
    let number = number(flow);
    let omission = if order.protocol != CaptureOrder::ANY_PROTOCOL
        && order.protocol != u32::from(flow.protocol)
    {
        Omission::OtherProtocol
    } else if number > u64::from(order.per_flow) {
        Omission::FlowBound
    } else if !has_budget(order.per_window) {
        Omission::RateBound
    } else {
        return Some(number);
    };
    omit(omission);
    None
}

/// Counts a packet of this flow.
fn number(flow: &FlowKey) -> u64 {
    if let Some(packets) = maps::CAPTURE_FLOWS.get_ptr_mut(flow) {
        kernel::add(packets, 1);
        return kernel::peek(packets);
    }
    // Fails if another CPU made the entry meanwhile: then two packets have number 1.
    let _ = maps::CAPTURE_FLOWS.insert(flow, 1_u64, u64::from(BPF_NOEXIST));
    1
}

/// Takes one packet out of the budget of this moment.
fn has_budget(most: u32) -> bool {
    let now = kernel::now();
    maps::CAPTURE_BUDGET
        .get_ptr_mut(0)
        .is_some_and(|budget| kernel::update(budget, |budget| budget.take(now, most)))
}

/// Puts a copy of a packet into the ring buffer. It does not wake user space, which reads
/// the ring buffer when it drains the counts.
fn copy<R: Access>(skb: Skb<R>, flow: &FlowKey, at: u64, number: u64) {
    let Ok(packet) = skb.network() else {
        return omit(Omission::Unreadable);
    };
    let Some(mut room) = maps::CAPTURED.reserve(0) else {
        return omit(Omission::NoRoom);
    };
    let copied = room.write(CapturedPacket {
        at,
        number,
        netns: flow.netns,
        reason: flow.reason,
        length: packet.length(),
        linear: packet.linear(),
        bytes: [0; SNAP_LENGTH],
    });
    if let Err(Unreadable) = packet.copy_to(&mut copied.bytes) {
        room.discard(u64::from(BPF_RB_NO_WAKEUP));
        return omit(Omission::Unreadable);
    }
    room.submit(u64::from(BPF_RB_NO_WAKEUP));
}

/// Counts a packet that is not copied.
fn omit(why: Omission) {
    if let Some(slot) = maps::OMITTED.get_ptr_mut(why as u32) {
        kernel::add(slot, 1);
    }
}
