//! Words that all output is made of: numbers, times, names, and standard output
//! itself.

pub mod alike;
pub mod clock;
pub mod finding;
pub mod journal;
pub mod network;
pub mod number;
pub mod output;
pub mod port;
pub mod protocol;
pub mod reason;
pub mod stdout;
pub mod text;
