//! What it means when one of conntrack's functions returns what it returns.
//!
//! Each function here is named for the kernel's function whose return it
//! judges (all in `net/netfilter/nf_conntrack_core.c`). However a program got
//! at the arguments and the return value, the judgement is the same; it is
//! made in [`conntrack_ebpf::judge`].

use conntrack_ebpf::{
    EARLY_DROP_FAILED, Epoch, Fault, FlowKey, Phase, Reason, TABLE_FULL_AT_REST,
    TABLE_FULL_WITNESSED,
    allocation_note::AllocationNote,
    early_drops::{AllocationKey, Witness},
    flow_slots::SlotKey,
    judge::{self, Mark, Refusal, Refused},
};

use crate::{
    copies, count, join,
    kernel::{self, Access, Conntrack, Locks, Net, Probed, Read, Skb, Tuple},
    pressure, sender,
};

/// `NF_DROP` (`include/uapi/linux/netfilter.h`).
const NF_DROP: u32 = 0;

/// `early_drop`, entered at this position on the stack. If it found no victim, the
/// allocation that called it will be refused for a full table. At rest no program sees
/// that, so the packet is counted here. In other phases one of the witnesses counts the
/// call in a second total. In phase armed the witnesses are about to be detached, and the
/// note of the entry is enough.
pub fn early_drop<R: Access>(
    frame: u32,
    net: Net<R>,
    hash: u32,
    found_victim: bool,
    witness: Witness,
) {
    if found_victim || is_no_packet(hash) {
        return join::forget(frame);
    }
    let epoch = count::epoch();
    let mark = match epoch.phase() {
        _ if epoch == Epoch::OFF => Mark::Armed,
        Phase::AtRest => Mark::AtRest,
        Phase::Arming | Phase::Reinforced => Mark::Armed,
        Phase::Armed => return,
    };
    let by_other = join::found_none(frame, net.allocation_key(hash), mark, witness);
    let slot = match (by_other, mark) {
        (None, Mark::AtRest) => TABLE_FULL_AT_REST,
        // The other may have run before the phase changed.
        (Some(Mark::AtRest), _) => return,
        _ if witness == Witness::Other => return,
        _ => EARLY_DROP_FAILED,
    };
    count::in_slot(epoch, net.inum().unwrap_or(0), slot);
}

/// The same by a kprobe. It sees the exit of each call, and only it counts the packet: with
/// the flow, if the entry of the allocation was noted.
pub fn early_drop_alone(frame: u32, found_victim: bool) {
    let epoch = count::epoch();
    if let Some(key) = join::leave_early_drop(frame, found_victim) {
        if !found_victim {
            refused_from(epoch, frame, &key);
        }
    } else if let Some(key) = join::early_drop_at(frame) {
        join::forget(frame);
        if !found_victim && !is_no_packet(key.hash) {
            without_flow(epoch, &key);
        }
    } else if !found_victim && epoch.phase().is_armed() {
        // Another call has overwritten the note of its entry. Nothing tells the namespace, so
        // only the kernel's counter has the packet.
        count::fault(Fault::JoinLost);
    }
}

/// This allocation, which called `early_drop` at this position, is refused for a full table. A
/// function of its own: otherwise the compiler joins it with what follows other notes, and
/// reads from the stack what it has not written there, which kernels before 6.3 refuse.
#[inline(never)]
fn refused_from(epoch: Epoch, frame: u32, key: &AllocationKey) {
    let note = join::take_allocation(frame, key);
    if note.is_none() {
        count::fault(Fault::JoinLost);
    }
    match note {
        _ if is_no_packet(key.hash) => count_no_packet(epoch, Net::<Probed>::at(key.net)),
        Some(note) => count_noted(epoch, note, Reason::TableFull),
        None => without_flow(epoch, key),
    }
}

/// Counts a packet that a full table refused, and whose flow no program knows.
fn without_flow(epoch: Epoch, key: &AllocationKey) {
    let netns = Net::<Probed>::at(key.net).inum().unwrap_or(0);
    count::in_slot(epoch, netns, TABLE_FULL_AT_REST);
}

/// Counts a refusal that is no packet.
fn count_no_packet<R: Access>(epoch: Epoch, net: Net<R>) {
    count::total(epoch, net.inum().unwrap_or(0), Reason::NonPacket);
}

/// Counts a refused allocation whose entry was noted.
fn count_noted(epoch: Epoch, note: AllocationNote, reason: Reason) {
    count_allocation(epoch, &note.into(), reason, || sender::of(Locks::None));
}

/// `nf_conntrack_alloc`, which ctnetlink and BPF programs call, passes 0 where
/// a packet's path passes the tuple's hash.
const fn is_no_packet(hash: u32) -> bool {
    hash == 0
}

/// What `__nf_conntrack_alloc` was called with, as far as it matters.
#[derive(Clone, Copy)]
pub struct Allocation<R> {
    /// `struct net *net`
    pub net: Net<R>,
    /// `const struct nf_conntrack_zone *zone`
    pub zone: u64,
    /// `const struct nf_conntrack_tuple *orig`
    pub orig: u64,
    /// `u32 hash`
    pub hash: u32,
    /// The position on the stack at which the program runs.
    pub position: u32,
}

impl From<AllocationNote> for Allocation<Probed> {
    fn from(note: AllocationNote) -> Self {
        Self {
            net: Net::at(note.net),
            zone: note.zone,
            orig: note.orig,
            hash: note.hash,
            position: note.frame,
        }
    }
}

/// `__nf_conntrack_alloc`: gives an entry, or an error number. It runs once for each new
/// flow, so this returns at once if the allocation succeeds. A refused allocation is handled
/// in a separate function, so that no registers are saved for it otherwise.
pub fn alloc(entry: u64, refused: impl FnOnce(), position: impl FnOnce() -> u32) {
    if is_err(entry) {
        refused();
    } else {
        join::end_note(position);
    }
}

/// The same once more, by a program that is attached besides where the kernel
/// skips the first: a kernel that preempts itself does so for as long as a task
/// is preempted inside of it.
pub fn alloc_again<R: Access>(
    entry: u64,
    arguments: impl FnOnce() -> Allocation<R>,
    sender: impl FnOnce() -> u32,
) {
    if is_err(entry) {
        refused_allocation_again(&arguments(), sender);
    }
}

/// `IS_ERR` (`include/linux/err.h`): the last 4095 addresses are error numbers.
const fn is_err(pointer: u64) -> bool {
    pointer >= 4095_u64.wrapping_neg()
}

/// The allocation is refused: counts the packet that wanted it.
pub fn refused_allocation<R: Access>(allocation: &Allocation<R>, sender: impl FnOnce() -> u32) {
    let epoch = count::epoch();
    let key = allocation.net.allocation_key(allocation.hash);
    let note = if epoch.is(Phase::Armed) {
        join::take_note(allocation.position, &key)
    } else {
        None
    };
    let mark = note.or_else(|| join::take(key));
    let full = || allocation.net.is_full().unwrap_or(false);
    let Refusal::Count(reason) = judge::allocation(allocation.hash, mark, epoch.phase(), full)
    else {
        return;
    };
    if is_no_packet(allocation.hash) {
        return count_no_packet(epoch, allocation.net);
    }
    if note.is_none() && reason == Reason::TableFull {
        count_witnessed(epoch, allocation.net);
    }
    count_allocation(epoch, allocation, reason, sender);
}

fn refused_allocation_again<R: Access>(allocation: &Allocation<R>, sender: impl FnOnce() -> u32) {
    if is_no_packet(allocation.hash) {
        return;
    }
    let mark = join::take_again(allocation.net.allocation_key(allocation.hash));
    if let Refusal::Count(reason) = judge::allocation_again(allocation.hash, mark) {
        let epoch = count::epoch();
        count_witnessed(epoch, allocation.net);
        count_allocation(epoch, allocation, reason, sender);
    }
}

/// `__nf_conntrack_alloc`, entered at this position, seen by a kprobe. Counts the packet if
/// the probe at the return of `early_drop` has not: then the note is still there.
pub fn alloc_after_early_drop(entry: u64, position: u32) {
    if is_err(entry)
        && let Some(note) = join::take_allocation_at(position)
    {
        let net = Net::<Probed>::at(note.net);
        let mark = join::take_note(position, &net.allocation_key(note.hash));
        let full = || net.is_full().unwrap_or(false);
        match judge::allocation(note.hash, mark, Phase::Armed, full) {
            Refusal::Counted => {}
            Refusal::Count(Reason::NonPacket) => count_no_packet(count::epoch(), net),
            Refusal::Count(reason) => count_noted(count::epoch(), note, reason),
        }
    }
}

/// Counts a packet that the programs at the exit of `early_drop` may also have counted.
fn count_witnessed<R: Access>(epoch: Epoch, net: Net<R>) {
    count::in_slot(epoch, net.inum().unwrap_or(0), TABLE_FULL_WITNESSED);
}

/// Counts a packet by the flow that it wanted an entry for.
fn count_allocation<R: Access>(
    epoch: Epoch,
    allocation: &Allocation<R>,
    reason: Reason,
    sender: impl FnOnce() -> u32,
) {
    let netns = allocation.net.inum().unwrap_or(0);
    let Ok(zone) = kernel::zone_id::<R>(allocation.zone) else {
        return unreadable(epoch, netns, reason);
    };
    // Before the tuple is loaded. Otherwise the tuple would be kept on the stack during this.
    let sender = sender();
    let Ok(tuple) = R::tuple(allocation.orig) else {
        return unreadable(epoch, netns, reason);
    };
    let flow = SlotKey::from(&flow_key(&tuple, netns, zone, reason, sender));
    count::flow_of_tuple(epoch, &flow, allocation.hash);
    copies::take_when_freed(epoch, &flow);
}

/// `nf_ct_resolve_clash`: two entries want the same tuple. The packet carries
/// the loser, except after a merge, when it carries the winner.
pub fn resolve_clash(skb: Skb, verdict: u32) {
    if verdict == NF_DROP {
        join::note_clash(skb);
        pressure::signal();
        count_packet(skb, Reason::Clash, Locks::Buckets, |loser| {
            Ok(judge::clash(loser.status()?))
        });
    } else {
        let resolved = Reason::ClashResolved;
        count_packet(skb, resolved, Locks::Buckets, |_| Ok(resolved));
    }
}

/// `__nf_conntrack_confirm`: the first packet of a flow has passed all hooks,
/// and its entry is to be inserted.
pub fn confirm(skb: impl FnOnce() -> Skb, verdict: u32) {
    if verdict == NF_DROP
        && let Some(since) = join::confirming_since()
    {
        let skb = skb();
        // A clash was counted by the program that sees clashes.
        if !join::take_clash(skb, since) {
            count_packet(skb, Reason::ChainTooLong, Locks::None, refused_confirmation);
        }
    }
}

fn refused_confirmation(entry: Conntrack) -> Read<Reason> {
    Ok(judge::confirmation(Refused {
        status: entry.status()?,
        inserted: entry.was_inserted()?,
        stale: entry.extensions_are_stale().unwrap_or(false),
    }))
}

/// Counts a packet by the flow of the entry it carries; if that cannot be read,
/// without a flow, for the reason `otherwise`.
fn count_packet(
    skb: Skb,
    otherwise: Reason,
    locks: Locks,
    reason: impl FnOnce(Conntrack) -> Read<Reason>,
) {
    let epoch = count::epoch();
    let counted = skb
        .conntrack()
        .and_then(|entry| flow_of(entry, reason(entry)?, sender::of(locks)))
        .map(|flow| {
            count::flow(epoch, &flow);
            copies::take(epoch, skb, &flow);
        });
    if counted.is_err() {
        unreadable(epoch, 0, otherwise);
    }
}

/// `nf_ct_delete`: an entry dies. It is a victim if `early_drop` killed it for
/// room, and not because its time was over.
pub fn delete(killed: bool, frame: u32, entry: impl FnOnce() -> Conntrack) {
    if killed && join::inside_early_drop(frame) {
        let victim = entry();
        let (epoch, evicted) = (count::epoch(), Reason::Evicted);
        if victim.is_expired().unwrap_or(false) {
            return;
        }
        join::note_eviction(frame);
        match flow_of(victim, evicted, sender::NONE) {
            Ok(flow) => count::flow(epoch, &flow),
            Err(_) => unreadable(epoch, 0, evicted),
        }
    }
}

/// `nf_conntrack_hash_check_insert`: how ctnetlink and BPF programs insert;
/// never runs for a packet.
pub fn hash_check_insert(entry: Conntrack, result: i32) {
    /// `-ENOSPC`: the chain is too long.
    const CHAIN_TOO_LONG: i32 = -28;

    if result == CHAIN_TOO_LONG {
        let netns = entry.net().and_then(Net::inum);
        count::total(count::epoch(), netns.unwrap_or(0), Reason::NonPacketChain);
    }
}

/// The flow of an entry.
fn flow_of(entry: Conntrack, reason: Reason, sender: u32) -> Read<FlowKey> {
    let netns = entry.net()?.inum()?;
    Ok(flow_key(
        &entry.tuple()?,
        netns,
        entry.zone()?,
        reason,
        sender,
    ))
}

fn flow_key(tuple: &Tuple, netns: u32, zone: u16, reason: Reason, sender: u32) -> FlowKey {
    FlowKey {
        src: tuple.src,
        dst: tuple.dst,
        netns,
        sport: u16::from_be_bytes(tuple.src_port),
        dport: u16::from_be_bytes(tuple.dst_port),
        zone,
        family: tuple.family.to_le_bytes()[0],
        protocol: tuple.protocol,
        reason: reason as u32,
        sender,
    }
}

/// Counts a packet whose flow cannot be read: the total stays exact.
fn unreadable(epoch: Epoch, netns: u32, reason: Reason) {
    count::fault(Fault::Unreadable);
    count::total(epoch, netns, reason);
}
