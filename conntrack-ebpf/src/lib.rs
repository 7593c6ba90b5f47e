//! What the kernel side and user space agree on: keys and values of the maps,
//! the reasons, and the kernel-specific constants handed over at load time.
//!
//! Everything here is `#[repr(C)]`, made of fixed-width integers, without
//! implicit padding; the sizes are asserted, so a change that would let the
//! two sides disagree does not compile.

#![cfg_attr(not(test), no_std)]

pub mod allocation_note;
pub mod capture;
pub mod drop_counter;
pub mod early_drop_note;
pub mod early_drops;
mod epoch;
mod flow;
pub mod flow_slots;
pub mod judge;
mod layout;
#[cfg(feature = "user")]
mod pod;
mod reason;
pub mod slots;
mod totals;

pub use self::{
    epoch::{Epoch, Phase},
    flow::{FlowCount, FlowKey, Sender, ServiceKey},
    layout::{ABSENT, Layout},
    reason::Reason,
    totals::{
        EARLY_DROP_FAILED, Fault, TABLE_FULL_AT_REST, TABLE_FULL_WITNESSED, TOTAL_SLOTS,
        TotalCounts, TotalKey,
    },
};
