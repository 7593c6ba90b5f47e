//! ctdrop: which flows conntrack refuses, how many packets exactly, and why.
//!
//! A library with one folder for each subject, in layers, and the binary `ctdrop`
//! on top. Imports point downward only.

pub mod apply;
pub mod auto;
pub mod btf;
pub mod cli;
pub mod commands;
pub mod engine;
pub mod facts;
pub mod incident;
pub mod input;
pub mod kernel;
pub mod logs;
pub mod observe;
pub mod plan;
pub mod report;
pub mod say;
pub mod store;
pub mod subscribers;
pub mod survival;
pub mod table;
