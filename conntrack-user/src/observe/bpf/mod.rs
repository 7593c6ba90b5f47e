//! The embedded eBPF object, and the system calls that aya does not make.

mod atomics;
#[cfg(feature = "debug-log")]
mod debug_log;
pub mod object;
pub(crate) mod shared;
pub(crate) mod sys;
mod unpreempted;
