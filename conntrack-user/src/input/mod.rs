//! Reads large files: decompressed, in UTF-8, in blocks of whole lines.

pub mod blocks;
mod compression;
mod encoding;
pub mod file;
pub mod progress;
