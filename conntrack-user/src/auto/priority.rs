//! Being served first: under a flood, whoever waits for a processor waits long.

use std::fs;

use rustix::{
    process::{Pid, setpriority_process},
    thread::gettid,
};

/// The nice value of those who are to be served first.
const FIRST: i32 = -20;

/// Has the kernel serve all threads of this process first, from now on. Who may
/// not ask for that waits for their turn.
pub(crate) fn hurry() {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return;
    };
    for task in tasks.flatten() {
        let number = task.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(thread) = number.and_then(Pid::from_raw) {
            // Linux takes the number of a thread here.
            let _ = setpriority_process(Some(thread), FIRST);
        }
    }
}

/// Has it serve this thread like any other: it inherits from who made it.
pub(crate) fn take_time() {
    let _ = setpriority_process(Some(gettid()), 0);
}
