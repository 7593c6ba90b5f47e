//! The observer: programs in the kernel that count refused packets, and what
//! is needed to trust their counts.
//!
//! [`backend`] is the ladder of ways to see a packet refused, [`object`] and
//! [`layout`] make the programs ready for the running kernel, [`arming`] decides
//! when those are attached that run for each new flow, [`counts`] takes their
//! counts out without losing one, [`tally`] keeps them in bounded memory,
//! [`senders`] names the processes that sent packets, [`ledger`] holds the counts
//! against the kernel's own counters, and [`verdict`] says what a disagreement
//! means. Where no program can be loaded, [`diagnosis`] says why, and [`evidence`]
//! judges what the counters prove by themselves. [`stand`] is either.

pub mod arming;
mod attachment;
pub mod backend;
mod bell;
pub mod counter;
pub mod counters_only;
pub mod counts;
#[cfg(feature = "debug-log")]
mod debug_log;
mod decode;
pub mod diagnosis;
pub mod evidence;
pub(crate) mod ladder;
pub mod layout;
pub mod ledger;
mod namespaces;
pub mod object;
mod observer;
pub mod senders;
pub mod surplus;
mod sys;
pub mod tally;
pub mod unread;
pub mod usage;
pub mod verdict;

pub use crate::observe::{
    ladder::{NotUsed, try_out},
    observer::{Event, Faults, Observer, Wanted},
};
