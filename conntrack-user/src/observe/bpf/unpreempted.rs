//! Keeps other tasks off this CPU while the kernel performs an operation on a map.

/// While it lives, no ordinary task preempts this thread.
///
/// The kernel runs no kprobe program on a CPU whose task is inside an operation
/// on a map (`bpf_disable_instrumentation` in `include/linux/bpf.h`, 5.7 to
/// 7.3), not even when that task has been preempted there. A kernel that
/// preempts its own work does that to a walk through a large map, and then
/// no kprobe counts there for the whole time slice of the other task.
pub(super) struct Unpreempted {
    /// Whether the scheduler has agreed.
    granted: bool,
}

impl Unpreempted {
    /// Asks for the lowest real-time priority. If it is not allowed, or if the user has
    /// chosen another policy for ctdrop, more runs are missed. They are counted.
    pub(super) fn begin() -> Self {
        // SAFETY: takes an integer and touches no memory.
        let ordinary = unsafe { libc::sched_getscheduler(0) } == libc::SCHED_OTHER;
        Self {
            granted: ordinary && schedule(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, 1),
        }
    }
}

impl Drop for Unpreempted {
    fn drop(&mut self) {
        if self.granted {
            schedule(libc::SCHED_OTHER, 0);
        }
    }
}

/// Sets the policy of this thread. Returns whether that was allowed.
fn schedule(policy: i32, sched_priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority };
    // SAFETY: the pointer is to a local that outlives the call.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}
