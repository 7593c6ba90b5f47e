//! The observer: programs in the kernel that count refused packets, and what
//! is needed to trust their counts.
//!
//! [`backend`] names the ways to see a packet refused, [`survey`] finds the best one
//! that works; a [`failure`] says at which step one does not, and an [`obstacle`] what
//! stands in its way. [`bpf`] has the embedded object and the system calls, [`programs`]
//! makes the programs ready for the running kernel, loads and attaches them;
//! [`arming`] decides when those are attached that run for each new flow. [`counts`]
//! takes their counts out without losing one and keeps them in bounded memory.
//! [`check`] compares the counts with the kernel's own counters and says what a
//! discrepancy means, or what the counters prove by themselves where no program can
//! be loaded. [`capture`] takes copies of refused packets. [`observer`] puts these together.

pub mod arming;
pub mod backend;
pub mod bpf;
pub mod capture;
pub mod check;
pub mod counts;
pub mod failure;
pub mod observer;
pub mod obstacle;
pub mod programs;
pub mod survey;
pub mod unread;
pub mod usage;
