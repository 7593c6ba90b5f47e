//! Finds the few lines that matter in large logs, about as fast as memory is read.

pub mod blocks;
mod candidate;
mod prefilter;
pub mod scanner;
pub mod text_share;
