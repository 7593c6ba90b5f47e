//! The embedded eBPF object, and the system calls that aya does not make.

#[cfg(feature = "debug-log")]
mod debug_log;
pub mod object;
pub(crate) mod sys;
