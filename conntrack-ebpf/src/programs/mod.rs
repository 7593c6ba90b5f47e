//! The programs, one file for each backend, and one for what two of them share.

mod fexit;
mod freed;
mod kfree_skb;
mod kprobe;
