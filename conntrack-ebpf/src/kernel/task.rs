//! The current task: whose business a program meets, and on whose stack.

use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_task, bpf_get_current_task_btf,
};
use conntrack_ebpf::ABSENT;

use super::{
    memory::{Access as _, Read, Typed, layout, read},
    numbers::low,
};

/// Address of the current task. Of a softirq it is the task it interrupted.
pub fn current_task() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task() }
}

/// What a function that a program is attached to has switched off by itself.
#[derive(Clone, Copy)]
pub enum Locks {
    /// Nothing: its caller is in the state that the packet came in.
    None,
    /// Softirqs, once, while it holds the locks of hash buckets.
    Buckets,
}

/// Whether what runs now is the current task's own business: not that of an
/// interrupt, nor of something that the task does with softirqs switched off,
/// as the receive path of packets demands.
///
/// The preemption count says: bits 8 to 15 count softirqs, being served
/// (odd) or switched off (even), those above interrupts
/// (`include/linux/preempt.h`, 2.6.39 to 7.3). A realtime kernel counts
/// switching off in the task instead. `own_offset` gives the offset of this CPU's memory.
pub fn is_own_business_of_task(locks: Locks, own_offset: impl FnOnce() -> Read<u64>) -> Read<bool> {
    const INTERRUPTS: u32 = 0x00ff_ff00;
    const SOFTIRQS_OFF_ONCE: u32 = 0x200;

    let count = preempt_count(own_offset)? & INTERRUPTS;
    if layout(|it| &it.task_softirq_disable) != ABSENT {
        let off: u32 = read(current_task(), layout(|it| &it.task_softirq_disable))?;
        return Ok(count == 0 && off == u32::from(matches!(locks, Locks::Buckets)));
    }
    Ok(count
        == match locks {
            Locks::None => 0,
            Locks::Buckets => SOFTIRQS_OFF_ONCE,
        })
}

/// Whether a program of type tracing at this position on the stack runs on that of
/// the current task, which is a process: then no softirq runs, which has a stack of
/// its own (x86-64; arm64 since 5.19) or belongs to a kernel thread.
pub fn is_on_stack_of_process(position: u32) -> Read<bool> {
    /// `PF_KTHREAD` (`include/linux/sched.h`).
    const KERNEL_THREAD: u32 = 0x0020_0000;

    let flags: u32 = Typed::number(typed_current_task(), layout(|it| &it.task_flags))?;
    Ok(is_within(layout(|it| &it.stack_size), position)? && flags & KERNEL_THREAD == 0)
}

/// Whether such a program may run on the stack of the current task, whatever its
/// size; if not, a softirq runs on its own.
pub fn may_be_on_stack_of_task(position: u32) -> Read<bool> {
    /// More than `THREAD_SIZE` anywhere.
    const SIZE: u32 = 128 * 1024;

    is_within(SIZE, position)
}

/// Whether a position is so near to the end of the current task's stack.
fn is_within(size: u32, position: u32) -> Read<bool> {
    let stack: u64 = Typed::number(typed_current_task(), layout(|it| &it.task_stack))?;
    Ok(position.wrapping_sub(low(stack)) < size)
}

/// The current task as a pointer of known type.
fn typed_current_task() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task_btf() as u64 }
}

/// x86 keeps it in each CPU's own memory, the others in the task.
fn preempt_count(own_offset: impl FnOnce() -> Read<u64>) -> Read<u32> {
    let address = layout(|it| &it.preempt_count_address);
    if address == 0 {
        return read(current_task(), layout(|it| &it.task_preempt_count));
    }
    // Programs are not moved to another CPU while they run.
    read(own_offset()?.wrapping_add(address), 0)
}

/// Id of the current task's cgroup in the unified hierarchy.
pub fn current_cgroup() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_cgroup_id() }
}
