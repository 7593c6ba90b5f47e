//! The programs, one file for each rung of the ladder.

mod fexit;
mod kfree_skb;
mod kprobe;

pub use kprobe::Call;
