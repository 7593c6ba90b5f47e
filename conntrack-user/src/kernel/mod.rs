//! The kernel's own numbers, read without eBPF and never written: its release,
//! whether it has conntrack, as which load of the module, conntrack's counters and limits, and the network
//! namespaces that each have counters and entries of their own.
//!
//! Parsing and naming are pure functions over text; only the `read`,
//! `running` and `discover` functions touch `/proc` and `/sys`.

pub mod container;
pub mod counters;
pub mod defaults;
pub mod generation;
pub mod kmsg;
pub mod limit_writers;
pub mod limits;
pub mod memory;
pub mod message;
pub mod module;
pub mod netns;
pub mod presence;
pub mod process;
pub mod rate_limit;
pub mod release;
pub mod slab;
pub mod surroundings;
pub mod symbols;
