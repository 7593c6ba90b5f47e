//! The commands: options in, words out.

mod bar;
pub mod completions;
pub mod daemon;
pub mod fix;
pub mod incidents;
pub mod logs;
pub mod man;
pub mod overview;
pub mod probe;
pub mod report;
pub mod status;
pub mod undo;
mod unread;
pub mod watch;
pub mod who;
