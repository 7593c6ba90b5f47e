//! Where reports go: a screen, lines of text, lines of JSON.

pub mod json;
pub mod output;
pub mod screen;
pub mod text;
