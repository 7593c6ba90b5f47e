//! The program that copies packets of refused allocations for the backends `fexit` and
//! `kprobe`. Their other programs see such an allocation without its packet.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the macros that make entry points pass the context by value"
)]

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{copies, kernel::Skb};

/// `TP_PROTO(struct sk_buff *skb, …)` (`include/trace/events/skb.h`, 2.6.30 and later):
/// a packet is dropped, for whatever reason. Attached only if copies are wanted.
#[btf_tracepoint(function = "kfree_skb")]
pub fn freed_packet(ctx: BtfTracePointContext) -> i32 {
    copies::freed(Skb::at(ctx.arg(0)));
    0
}
