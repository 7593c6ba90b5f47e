//! The fexit backend: programs at the exits of the functions that refuse.
//!
//! The argument numbers are those of the functions' prototypes in
//! `net/netfilter/nf_conntrack_core.c`; the value after the last argument is
//! what the function returned.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the macros that make entry points pass the context by value"
)]

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use conntrack_ebpf::{Phase, early_drops::Witness};

use crate::{
    join,
    kernel::{self, Conntrack, Locks, Net, Skb, Typed},
    outcome::{self, Allocation},
    sender,
};

/// `static noinline int early_drop(struct net *net, unsigned int hash)`,
/// 4.19 to 7.3: entered only when the table is over its limit.
#[fentry(function = "early_drop")]
pub fn early_drop_enter(ctx: FEntryContext) -> i32 {
    let key = Net::<Typed>::at(ctx.arg(0)).allocation_key(ctx.arg(1));
    // In other phases the programs at the exit are attached.
    join::enter_early_drop(kernel::stack_position(&ctx), key, |epoch| {
        epoch.is(Phase::Armed)
    });
    0
}

/// The exit of `early_drop`. It runs in the same trampoline as the program at
/// the entry, so the position is the same.
#[fexit(function = "early_drop")]
pub fn early_drop_exit(ctx: FExitContext) -> i32 {
    early_drop(&ctx, Witness::One);
    0
}

/// The same mark again, by a second program: the kernel does not run a program
/// for a softirq that interrupted that very program on its CPU, but it runs
/// the other one. So the mark is never missing. While armed, neither of them is attached
/// unless the kernel has skipped a program.
#[fexit(function = "early_drop")]
pub fn early_drop_exit_again(ctx: FExitContext) -> i32 {
    early_drop(&ctx, Witness::Other);
    0
}

fn early_drop(ctx: &FExitContext, witness: Witness) {
    let net = Net::<Typed>::at(ctx.arg(0));
    let found_victim = ctx.arg::<u8>(2) != 0;
    outcome::early_drop(
        kernel::stack_position(ctx),
        net,
        ctx.arg(1),
        found_victim,
        witness,
    );
}

/// `static struct nf_conn *__nf_conntrack_alloc(struct net *net, const struct
/// nf_conntrack_zone *zone, const struct nf_conntrack_tuple *orig, const
/// struct nf_conntrack_tuple *repl, gfp_t gfp, u32 hash)`, 3.10 to 7.3.
#[fexit(function = "__nf_conntrack_alloc")]
pub fn alloc_exit(ctx: FExitContext) -> i32 {
    let position = || kernel::stack_position(&ctx);
    outcome::alloc(ctx.arg(6), || refused_allocation(&ctx), position);
    0
}

#[inline(never)]
fn refused_allocation(ctx: &FExitContext) {
    #[cfg(feature = "debug-log")]
    aya_log_ebpf::debug!(ctx, "allocation refused");
    outcome::refused_allocation(&allocation(ctx), || sender(ctx));
}

/// The same exit, seen by a second program.
#[fexit(function = "__nf_conntrack_alloc")]
pub fn alloc_exit_again(ctx: FExitContext) -> i32 {
    outcome::alloc_again(ctx.arg(6), || allocation(&ctx), || sender(&ctx));
    0
}

fn allocation(ctx: &FExitContext) -> Allocation<Typed> {
    Allocation {
        net: Net::at(ctx.arg(0)),
        zone: ctx.arg(1),
        orig: ctx.arg(2),
        hash: ctx.arg(5),
        position: kernel::stack_position(ctx),
    }
}

fn sender(ctx: &FExitContext) -> u32 {
    sender::of_position(Locks::None, kernel::stack_position(ctx))
}

/// `static __cold noinline int nf_ct_resolve_clash(struct sk_buff *skb, struct
/// nf_conntrack_tuple_hash *h, u32 reply_hash)`, 5.7 to 7.3.
#[fexit(function = "nf_ct_resolve_clash")]
pub fn resolve_clash_exit(ctx: FExitContext) -> i32 {
    #[cfg(feature = "debug-log")]
    aya_log_ebpf::debug!(&ctx, "clash: verdict {}", ctx.arg::<u32>(3));
    outcome::resolve_clash(Skb::at(ctx.arg(0)), ctx.arg(3));
    0
}

/// `int __nf_conntrack_confirm(struct sk_buff *skb)`, 2.6.16 to 7.3.
#[fexit(function = "__nf_conntrack_confirm")]
pub fn confirm_exit(ctx: FExitContext) -> i32 {
    outcome::confirm(|| Skb::at(ctx.arg(0)), ctx.arg(1));
    0
}

/// `bool nf_ct_delete(struct nf_conn *ct, u32 portid, int report)`, 3.14 to
/// 7.3.
#[fexit(function = "nf_ct_delete")]
pub fn delete_exit(ctx: FExitContext) -> i32 {
    let killed = ctx.arg::<u8>(3) != 0;
    outcome::delete(killed, kernel::stack_position(&ctx), || {
        Conntrack::at(ctx.arg(0))
    });
    0
}

/// `static void __nf_ct_delete_from_lists(struct nf_conn *ct)`, 5.19 to 7.3:
/// what `nf_ct_delete` calls when an entry really dies. Where the compiler has
/// split that function, `early_drop` calls a part of it that has no name.
#[fentry(function = "__nf_ct_delete_from_lists")]
pub fn delete_from_lists_enter(ctx: FEntryContext) -> i32 {
    outcome::delete(true, kernel::stack_position(&ctx), || {
        Conntrack::at(ctx.arg(0))
    });
    0
}

/// `int nf_conntrack_hash_check_insert(struct nf_conn *ct)`, 3.2 to 7.3.
#[fexit(function = "nf_conntrack_hash_check_insert")]
pub fn hash_check_insert_exit(ctx: FExitContext) -> i32 {
    outcome::hash_check_insert(Conntrack::at(ctx.arg(0)), ctx.arg(1));
    0
}
