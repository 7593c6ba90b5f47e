//! What one program notes for a later one that meets the same packet: values of the
//! maps that user space does not read.

use conntrack_ebpf::FlowKey;

/// Identifies one packet while it is inside the conntrack code.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ClashKey {
    /// Address of the packet.
    pub skb: u64,
    /// Address of the current task.
    pub task: u64,
}

/// A clash that was counted.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ClashNote {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
}

/// A call under way of a function that a pair of kprobes is at.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Call {
    /// Which function: a number that the kprobes agree on.
    pub function: u64,
    /// Arguments, as far as they matter.
    pub arguments: [u64; 4],
}

/// A packet that is to be copied when it is freed, because the program that saw the refusal
/// had only its flow.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CaptureNote {
    /// When it was counted, in nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// Its number among the refused packets of its flow.
    pub number: u64,
    /// Its flow.
    pub flow: FlowKey,
    /// Unused: it makes the size a multiple of eight.
    pub padding: u32,
}
