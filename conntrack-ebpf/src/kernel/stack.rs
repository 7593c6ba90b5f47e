//! Positions on the stack, which tell one call from another.

use aya_ebpf::{
    EbpfContext,
    bindings::pt_regs,
    programs::{ProbeContext, RetProbeContext},
};

use super::numbers::low_of_address;

/// The low half of the address of the trampoline's frame, which lies on the
/// stack of the traced function.
pub fn stack_position(context: &impl EbpfContext) -> u32 {
    low_of_address(context.as_ptr() as u64)
}

/// What a call pushes on the stack: on x86-64 the return address, elsewhere
/// nothing (it is in a register).
#[cfg(bpf_target_arch = "x86_64")]
const CALL_PUSHES: u64 = 8;
#[cfg(not(bpf_target_arch = "x86_64"))]
const CALL_PUSHES: u64 = 0;

/// The stack pointer on entry to a function.
pub fn position_at_entry(context: &ProbeContext) -> u64 {
    stack_pointer(context.regs)
}

/// The stack pointer that the function which returns was entered with.
pub fn position_at_return(context: &RetProbeContext) -> u64 {
    stack_pointer(context.regs).wrapping_sub(CALL_PUSHES)
}

fn stack_pointer(registers: *mut pt_regs) -> u64 {
    // SAFETY: the kernel passes the registers for the time of the run.
    #[cfg(bpf_target_arch = "x86_64")]
    return unsafe { (*registers).rsp };
    // SAFETY: as above.
    #[cfg(not(bpf_target_arch = "x86_64"))]
    return unsafe { (*registers).sp };
}
