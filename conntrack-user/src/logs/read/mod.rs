//! Reads logs: which there are, what is in them, and how much of it could be read.

mod journalctl;
mod kernel_log;
mod part;
pub mod reader;
pub mod request;
pub mod sources;
pub mod summary;
mod text;

/// What reads a log that another program decompresses.
const COMMAND: &str = "ctdrop logs -";
