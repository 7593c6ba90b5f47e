//! The kprobe backend: the same functions, where the kernel has no trampolines.
//!
//! A kretprobe does not know the arguments, so a kprobe at the entry keeps
//! them. The pair is found by the position on the stack, which no other call
//! can have at the same time: not by process, since a softirq can interrupt
//! one inside the function and call it again, and not by CPU, since a process
//! can be moved to another one.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the macros that make entry points pass the context by value"
)]

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use conntrack_ebpf::{Fault, allocation_note::AllocationNote, slots::set_of};

use crate::{
    count, join,
    kernel::{self, Conntrack, Net, Probed, Skb},
    maps::{self, SETS},
    notes::Call,
    outcome,
};

/// The functions whose calls are kept, as [`Call::function`] has them.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Function {
    ResolveClash,
    Confirm,
    Delete,
    HashCheckInsert,
}

/// Keeps the arguments with these numbers until the call returns.
fn keep<const N: usize>(ctx: &ProbeContext, function: Function, numbers: [usize; N]) {
    let mut arguments = [0; 4];
    for (argument, number) in arguments.iter_mut().zip(numbers) {
        *argument = ctx.arg(number).unwrap_or(0);
    }
    let call = Call {
        function: function as u64,
        arguments,
    };
    let position = kernel::position_at_entry(ctx);
    let Some(set) = maps::CALLS.get_ptr_mut(set_of(position, SETS)) else {
        return;
    };
    let room = kernel::update(set, |set| match set.find(position) {
        // The end of an earlier call was not seen.
        Some(stale) => {
            *stale = call;
            true
        }
        None => set.leave(position, call, kernel::add_to_owner),
    });
    if !room {
        count::fault(Fault::JoinLost);
    }
}

/// Takes the arguments of the call that returns. None if the entry was not
/// seen: it came before the programs were attached, or its program was
/// skipped.
fn take(ctx: &RetProbeContext, function: Function) -> Option<[u64; 4]> {
    let position = kernel::position_at_return(ctx);
    let set = maps::CALLS.get_ptr_mut(set_of(position, SETS))?;
    let call = kernel::update(set, |set| set.take(position, kernel::add_to_owner))?;
    (call.function == function as u64).then_some(call.arguments)
}

/// See [`super::fexit::early_drop_enter`].
#[kprobe]
pub fn early_drop_call(ctx: ProbeContext) -> u32 {
    let net = Net::<Probed>::at(ctx.arg(0).unwrap_or(0));
    let key = net.allocation_key(ctx.arg(1).unwrap_or(0));
    let frame = kernel::low(kernel::position_at_entry(&ctx));
    join::enter_early_drop(frame, key, |epoch| epoch.phase().is_armed());
    0
}

/// The exit of `early_drop`. It counts the packet here, because a pair of probes at the
/// allocation would run for each new flow.
#[kretprobe]
pub fn early_drop_return(ctx: RetProbeContext) -> u32 {
    let frame = kernel::low(kernel::position_at_return(&ctx));
    outcome::early_drop_alone(frame, ctx.ret::<u8>() != 0);
    0
}

/// See [`super::fexit::alloc_exit`]. It notes the arguments, which [`early_drop_return`] and
/// [`alloc_return`] do not have.
#[kprobe]
pub fn alloc_call(ctx: ProbeContext) -> u32 {
    let argument = |number| ctx.arg(number).unwrap_or(0_u64);
    join::enter_allocation(&AllocationNote {
        net: argument(0),
        zone: argument(1),
        orig: argument(2),
        hash: kernel::low(argument(5)),
        frame: kernel::low(kernel::position_at_entry(&ctx)),
        at: kernel::jiffies(),
        padding: 0,
    });
    0
}

/// See [`super::fexit::alloc_exit`]. It is attached only when a counter shows refusals that no
/// program has counted.
#[kretprobe]
pub fn alloc_return(ctx: RetProbeContext) -> u32 {
    let position = kernel::low(kernel::position_at_return(&ctx));
    outcome::alloc_after_early_drop(ctx.ret(), position);
    0
}

/// See [`super::fexit::resolve_clash_exit`].
#[kprobe]
pub fn resolve_clash_call(ctx: ProbeContext) -> u32 {
    keep(&ctx, Function::ResolveClash, [0]);
    0
}

/// See [`super::fexit::resolve_clash_exit`].
#[kretprobe]
pub fn resolve_clash_return(ctx: RetProbeContext) -> u32 {
    if let Some([skb, ..]) = take(&ctx, Function::ResolveClash) {
        outcome::resolve_clash(Skb::at(skb), ctx.ret());
    }
    0
}

/// See [`super::fexit::confirm_exit`].
#[kprobe]
pub fn confirm_call(ctx: ProbeContext) -> u32 {
    keep(&ctx, Function::Confirm, [0]);
    0
}

/// See [`super::fexit::confirm_exit`].
#[kretprobe]
pub fn confirm_return(ctx: RetProbeContext) -> u32 {
    if let Some([skb, ..]) = take(&ctx, Function::Confirm) {
        outcome::confirm(|| Skb::at(skb), ctx.ret());
    }
    0
}

/// See [`super::fexit::delete_exit`]. Only calls inside `early_drop` matter.
#[kprobe]
pub fn delete_call(ctx: ProbeContext) -> u32 {
    if join::inside_early_drop(kernel::low(kernel::position_at_entry(&ctx))) {
        keep(&ctx, Function::Delete, [0]);
    }
    0
}

/// See [`super::fexit::delete_exit`].
#[kretprobe]
pub fn delete_return(ctx: RetProbeContext) -> u32 {
    if let Some([entry, ..]) = take(&ctx, Function::Delete) {
        let position = kernel::low(kernel::position_at_return(&ctx));
        outcome::delete(ctx.ret::<u8>() != 0, position, || Conntrack::at(entry));
    }
    0
}

/// See [`super::fexit::delete_from_lists_enter`]. Before 5.19 the function has
/// no underscores.
#[kprobe]
pub fn delete_from_lists_call(ctx: ProbeContext) -> u32 {
    let position = kernel::low(kernel::position_at_entry(&ctx));
    outcome::delete(true, position, || Conntrack::at(ctx.arg(0).unwrap_or(0)));
    0
}

/// See [`super::fexit::hash_check_insert_exit`].
#[kprobe]
pub fn hash_check_insert_call(ctx: ProbeContext) -> u32 {
    keep(&ctx, Function::HashCheckInsert, [0]);
    0
}

/// See [`super::fexit::hash_check_insert_exit`].
#[kretprobe]
pub fn hash_check_insert_return(ctx: RetProbeContext) -> u32 {
    if let Some([entry, ..]) = take(&ctx, Function::HashCheckInsert) {
        outcome::hash_check_insert(Conntrack::at(entry), ctx.ret());
    }
    0
}
