//! Compares the counts with the kernel's own counters.

pub mod counter;
pub mod counter_history;
pub mod discrepancy;
pub mod excess;
pub(crate) mod growth;
pub mod ledger;
pub mod proof;
pub mod verdict;
