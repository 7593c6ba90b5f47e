//! Compares the counts with the kernel's own counters.

pub mod counter;
pub mod discrepancy;
pub mod evidence;
pub(crate) mod growth;
pub mod ledger;
pub mod proof;
pub mod surplus;
pub mod verdict;
