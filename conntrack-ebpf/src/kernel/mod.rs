//! The only module that follows kernel pointers, or any raw pointer.
//!
//! Each kernel object is a newtype around its address, with a method for each
//! field that is read.

mod conntrack;
mod memory;
mod net;
mod numbers;
mod per_cpu;
mod skb;
mod stack;
mod task;
mod tuple;
mod values;
#[cfg(target_arch = "bpf")]
mod word;

pub use self::{
    conntrack::{Conntrack, zone_id},
    memory::{Access, Probed, Read, Typed, Unreadable},
    net::{Net, SeenNet},
    numbers::{high, jiffies, low, now},
    per_cpu::own_offset,
    skb::{Bytes, Skb, is_netfilter_drop},
    stack::{position_at_entry, position_at_return, stack_position},
    task::{
        Locks, current_cgroup, current_task, is_on_stack_of_process, is_own_business_of_task,
        may_be_on_stack_of_task,
    },
    tuple::Tuple,
    values::{Shared, add, add_to_flow, add_to_owner, add_to_slot, peek, store, update},
};

#[cfg(target_arch = "bpf")]
pub use self::word::SharedWord;

/// The same on the host, where the programs are only checked.
#[cfg(not(target_arch = "bpf"))]
pub type SharedWord = core::sync::atomic::AtomicU64;
