//! ctdrop: which flows conntrack refuses, how many packets exactly, and why.
//!
//! A library with one folder for each subject, and the binary `ctdrop` on top.

pub mod btf;
pub mod cli;
pub mod facts;
pub mod fix;
pub mod kernel;
pub mod logs;
pub mod observe;
pub mod probe;
pub mod status;
pub mod stdout;
pub mod survival;
pub mod watch;
pub mod who;
