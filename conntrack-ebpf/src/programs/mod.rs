//! The programs, one file for each backend.

mod fexit;
mod kfree_skb;
mod kprobe;
