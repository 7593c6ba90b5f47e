//! Keeps other tasks off this CPU while the kernel is inside of an operation on a map.

/// While it lives, no ordinary task preempts this thread.
///
/// The kernel runs no kprobe program on a CPU whose task is inside an operation
/// on a map (`bpf_disable_instrumentation` in `include/linux/bpf.h`, 5.7 to
/// 7.3), not even when that task has been preempted there. A kernel that
/// preempts its own work does that to a walk through a large map, and then
/// nothing is counted there for the other task's whole time slice.
pub(super) struct Unpreempted {
    /// Whether the scheduler has agreed.
    granted: bool,
}

impl Unpreempted {
    /// Asks for the lowest real-time priority. Who may not have it, or has
    /// chosen another policy for ctdrop, misses more runs; those are counted.
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

/// Sets the policy of this thread; whether that was allowed.
fn schedule(policy: i32, sched_priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority };
    // SAFETY: the pointer is to a local that outlives the call.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}
