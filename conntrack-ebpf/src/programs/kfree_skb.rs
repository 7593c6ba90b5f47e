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
    kernel::{self, Read, SeenNet, Skb, Typed, Unreadable},
    maps, own_memory, sender,
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
                if let Ok(net) = skb.net() {
                    judge(net);
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
    let netns = net.inum;
    let reason = match judge(net) {
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
fn judge(net: SeenNet) -> Dropped {
    let Ok(drops) = own_memory::offset().and_then(|own| net.drops(own)) else {
        count::fault(Fault::Unreadable);
        return Dropped::Undecided;
    };
    let mut accounted = maps::ACCOUNTED.get_ptr_mut(net.inum);
    if accounted.is_none() {
        // Fails if there is no room, or if another CPU was faster.
        let _ = maps::ACCOUNTED.insert(net.inum, Accounted::UNKNOWN, u64::from(BPF_NOEXIST));
        accounted = maps::ACCOUNTED.get_ptr_mut(net.inum);
    }
    match accounted {
        Some(accounted) => kernel::update(accounted, |accounted| accounted.judge(drops)),
        None => Accounted::UNKNOWN.clone().judge(drops),
    }
}
