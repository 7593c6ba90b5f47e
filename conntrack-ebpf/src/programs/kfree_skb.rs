//! The tracepoint backend: packets that netfilter dropped before they had a
//! conntrack entry.
//!
//! A packet refused by a full table is one. So is one that a rule drops before
//! conntrack sees it, or that conntrack finds invalid and a rule drops then. The
//! namespace's counter `drop` tells them apart ([`drop_counter`]).

#![expect(
    clippy::needless_pass_by_value,
    reason = "the macros that make entry points pass the context by value"
)]

use aya_ebpf::{bindings::BPF_NOEXIST, macros::btf_tracepoint, programs::BtfTracePointContext};
use conntrack_ebpf::{
    Fault, Reason,
    drop_counter::{Accounted, Dropped},
};

use crate::{
    copies, count, headers,
    kernel::{self, Net, Read, Skb, Typed, Unreadable},
    maps, sender,
};

/// `skb->_nfct` of a packet that a rule has exempted from tracking (`IP_CT_UNTRACKED`,
/// `include/uapi/linux/netfilter/nf_conntrack_common.h`).
const UNTRACKED: u64 = 7;

/// `TP_PROTO(struct sk_buff *skb, void *location, enum skb_drop_reason
/// reason, …)` (`include/trace/events/skb.h`, 5.18 and later).
#[btf_tracepoint(function = "kfree_skb")]
pub fn kfree_skb(ctx: BtfTracePointContext) -> i32 {
    if kernel::is_netfilter_drop(ctx.arg(2)) {
        let skb = Skb::<Typed>::at(ctx.arg(0));
        match skb.nfct() {
            Ok(0) => {
                #[cfg(feature = "debug-log")]
                aya_log_ebpf::debug!(&ctx, "packet without an entry dropped");
                let position = kernel::stack_position(&ctx);
                if let Err(Unreadable) = dropped(skb, position) {
                    count::fault(Fault::Unreadable);
                }
            }
            Ok(UNTRACKED) | Err(Unreadable) => {}
            // The same counter counts clashes, whose packets have an entry.
            Ok(_) => {
                if let Ok(net) = skb.net()
                    && let Ok(netns) = net.inum()
                {
                    judge(net, netns);
                }
            }
        }
    }
    0
}

/// A packet without an entry was dropped.
fn dropped(skb: Skb<Typed>, position: u32) -> Read<()> {
    let protocol = skb.protocol()?;
    if !headers::is_ip(protocol) {
        // Conntrack sees nothing else.
        return Ok(());
    }
    let epoch = count::epoch();
    let Ok(net) = skb.net() else {
        count::total(epoch, 0, Reason::RuleOrRefused);
        return Err(Unreadable);
    };
    let Ok(netns) = net.inum() else {
        count::total(epoch, 0, Reason::RuleOrRefused);
        return Err(Unreadable);
    };
    let reason = match judge(net, netns) {
        Dropped::ByRule => return Ok(()),
        Dropped::Refused => Reason::TableFull,
        Dropped::Undecided => Reason::RuleOrRefused,
    };
    if let Ok(mut flow) = headers::flow_key(skb, protocol, netns, reason as u32) {
        flow.sender = sender::of_packet(skb, position);
        count::flow(epoch, &flow);
        copies::take(epoch, skb, &flow);
        Ok(())
    } else {
        count::total(epoch, netns, reason);
        Err(Unreadable)
    }
}

/// Who dropped a packet of this namespace.
fn judge(net: Net, netns: u32) -> Dropped {
    let Ok(drops) = drops_here(net) else {
        count::fault(Fault::Unreadable);
        return Dropped::Undecided;
    };
    let mut accounted = maps::ACCOUNTED.get_ptr_mut(netns);
    if accounted.is_none() {
        // Fails if there is no room, or if another CPU was faster.
        let _ = maps::ACCOUNTED.insert(netns, Accounted::UNKNOWN, u64::from(BPF_NOEXIST));
        accounted = maps::ACCOUNTED.get_ptr_mut(netns);
    }
    match accounted {
        Some(accounted) => kernel::update(accounted, |accounted| accounted.judge(drops)),
        None => Accounted::UNKNOWN.clone().judge(drops),
    }
}

/// The namespace's counter `drop` on this CPU.
fn drops_here(net: Net) -> Read<u32> {
    let offset = maps::OWN_OFFSET.get_ptr_mut(0).ok_or(Unreadable)?;
    let known = kernel::peek(offset);
    if known != 0 {
        return net.drops(known);
    }
    let map = &raw const maps::OWN_OFFSET as u64;
    let found = kernel::own_offset(map, offset as u64)?;
    kernel::update(offset, |offset| *offset = found);
    net.drops(found)
}
