//! Reads logs: which there are, what is in them, and how much of it could be read.

mod compression;
mod encoding;
mod journalctl;
mod kernel_log;
mod part;
pub mod progress;
pub mod reader;
pub mod request;
pub mod sources;
pub mod summary;
mod text;
