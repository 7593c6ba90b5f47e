//! The eBPF programs of ctdrop, one object for every kernel.
//!
//! A program decides, counts, and does nothing else: it never changes what
//! happens to a packet. What it reads of the kernel goes through [`kernel`];
//! what it counts goes through [`count`]. Nothing here is attached to a
//! function that runs for packets of established flows.

#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]
#![expect(
    unreachable_pub,
    reason = "the programs are public to the linker, the rest among themselves"
)]

mod copies;
mod count;
mod flow_table;
mod headers;
mod join;
mod kernel;
mod maps;
mod notes;
mod outcome;
mod own_memory;
mod pressure;
mod programs;
mod sender;

/// Required by `no_std`; never reached, since no program can panic: the
/// verifier would not accept the loop that a panic ends in.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Licence of the programs, read by the kernel: the helpers that read kernel
/// memory are only for programs compatible with the GPL.
#[cfg_attr(
    target_arch = "bpf",
    unsafe(link_section = "license"),
    unsafe(no_mangle)
)]
#[cfg_attr(
    not(target_arch = "bpf"),
    expect(dead_code, reason = "read by the kernel")
)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Lets the workspace build, lint and document this crate on the host.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
