//! Who sent a packet: the current task, if it is the one that sends.
//!
//! A packet that was received is handled by a softirq, on top of whatever task
//! happens to run, or by a task that has softirqs switched off: the receive
//! path demands it (`netif_receive_skb`, `net/core/dev.c`). A task that sends
//! a packet of its own runs with softirqs on when it comes to the output hook.
//!
//! A packet needs only the number of its sender. The name and the cgroup of the sender are
//! noted when a flow gets an entry ([`note`]). User space takes all entries out several times
//! a second, so a sender is noted as often.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid},
};
use conntrack_ebpf::Sender;

use crate::{
    kernel::{self, Access, Locks, Skb},
    maps, own_memory,
};

/// No sender: received, or not known.
pub const NONE: u32 = 0;

/// The process that sends the packet at hand, in a function that holds these
/// locks.
pub fn of(locks: Locks) -> u32 {
    if kernel::is_own_business_of_task(locks, own_memory::offset).unwrap_or(false) {
        current()
    } else {
        NONE
    }
}

/// The same, for a program of type tracing at this position on the stack, which
/// says more cheaply of most received packets that they are.
pub fn of_position(locks: Locks, position: u32) -> u32 {
    if kernel::may_be_on_stack_of_task(position).unwrap_or(true) {
        of(locks)
    } else {
        NONE
    }
}

/// The process that sends a packet, seen by a program of type tracing at this
/// position on the stack. A packet that was received has no socket in the hooks before routing
/// (`ip_rcv_core` and `ip6_rcv_core` take it away); one on its way out has none
/// or its sender's, who may be long gone if a timer sends it again.
pub fn of_packet<R: Access>(skb: Skb<R>, position: u32) -> u32 {
    let sends = skb.has_socket().unwrap_or(false)
        && kernel::is_on_stack_of_process(position).unwrap_or(false);
    if sends { current() } else { NONE }
}

/// The current process.
fn current() -> u32 {
    kernel::high(bpf_get_current_pid_tgid())
}

/// Notes the name and the cgroup of the current process, if it is what sends.
#[inline(never)]
pub fn note(sender: u32) {
    if sender == NONE {
        return;
    }
    let now = Sender {
        cgroup: kernel::current_cgroup(),
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    let known = maps::SENDERS
        .get_ptr_mut(sender)
        .is_some_and(|noted| is_same(&kernel::peek(noted), &now));
    if !known {
        // Fails if all memory of the map is in use by other CPUs at this very
        // moment: then its name is not shown.
        let _ = maps::SENDERS.insert(sender, now, u64::from(BPF_ANY));
    }
}

/// Compares numbers: there is no `memcmp` here.
fn is_same(one: &Sender, other: &Sender) -> bool {
    one.cgroup == other.cgroup && u128::from_ne_bytes(one.comm) == u128::from_ne_bytes(other.comm)
}
